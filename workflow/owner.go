package workflow

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// A run belongs to one process at a time. The process gives a sign of life every beatEvery; a run
// without one for silentAfter may be taken over by any process.
const (
	beatEvery   = 3 * time.Second
	silentAfter = 15 * time.Second
)

// NewOwner names this process in a way that no other process has: host:pid:start. Two processes with one
// process id one after the other differ in their start. The host carries the namespace of process ids
// where the system has them, because two containers may share a host name and then their ids say nothing.
func NewOwner() string {
	pid := os.Getpid()
	return fmt.Sprintf("%s:%d:%s", ownHost(), pid, processStart(pid))
}

func ownHost() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	host = strings.ReplaceAll(host, ":", "-")
	if space, err := os.Readlink("/proc/self/ns/pid"); err == nil {
		host += "/" + strings.Trim(strings.TrimPrefix(space, "pid:"), "[]")
	}
	return host
}

// processStart is when the process started, in the system's own unit; "" when there is no such process
// or the system does not say.
func processStart(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The second field is the command's name in parentheses and may hold anything; the start is field 22.
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const start = 22 - 3
	if len(fields) <= start {
		return ""
	}
	return fields[start]
}

// dead reports whether the owner is a process of this host that is certainly gone.
func dead(owner string) bool {
	parts := strings.Split(owner, ":")
	if len(parts) != 3 || parts[0] != ownHost() {
		return false
	}
	pid, err := strconv.Atoi(parts[1])
	if err != nil || pid <= 0 {
		return false
	}
	if start := processStart(pid); start != "" {
		return start != parts[2]
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return true
	}
	return errors.Is(process.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// abandoned reports whether a running run has no carrier: it was let go, or its carrier is gone or silent for too long by
// the store's clock. In any case the fencing number keeps two processes from acting on one run.
func abandoned(run crmstore.Run, now time.Time) bool {
	if run.State != crmstore.RunRunning {
		return false
	}
	return run.Owner == "" || dead(run.Owner) || silent(run.Beat, now)
}
