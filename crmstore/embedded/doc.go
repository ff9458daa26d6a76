// Package embedded runs the store that needs no server: a redis-server or valkey-server found on PATH, kept in one
// directory, reached over a unix socket in it, with every change in an append-only file.
//
// # In the directory
//
//	redis.sock       the socket; there is no TCP port
//	appendonlydir/   the data (appendonly.aof with servers before 7.0)
//	redis.log        what the server says
//	redis.pid        the server's process id, for people
//	users.lock       locked shared by every process that uses the store
//	start.lock       locked while a process starts or stops the server
//	server.lock      locked by the server itself (it inherits the lock), for as long as it lives
//
// All locks are flock(2) locks: the kernel releases them when a process ends, however it ends.
//
// # Life of a server
//
//  1. The first process takes start.lock, finds server.lock free, starts the server and waits until it has loaded.
//  2. Others take a share of users.lock and use the server that is there.
//  3. If the server dies while in use, the next connection starts it again, by the same rules.
//  4. Who leaves takes start.lock and tries to get users.lock alone. Who gets it is the last one and stops the server.
//  5. A process that is killed leaves without a word. If it was the last one, its server stays, and the next
//     process finds it and uses it.
//
// # Promises
//
//   - Never two servers on one directory, even if somebody removes the socket.
//   - The server outlives a Ctrl-C in the terminal of the process that started it: it is a daemon of its own session.
//   - What the server has confirmed survives a SIGKILL of any process. A power cut may cost the last two seconds.
//   - Nobody but the owner of the directory can read the data or reach the socket.
package embedded
