package embedded

import "errors"

// ErrNoProgram says that no server program is on PATH, and what to do.
var ErrNoProgram = errors.New("a store in a directory needs redis-server or valkey-server on PATH: install it " +
	"(Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis; Fedora: dnf install valkey), " +
	"or name another store: --store redis://HOST:PORT, or --store memory to try things out (lost on exit)")
