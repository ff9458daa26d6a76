package main

import (
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// fault is something that happens.
type fault struct {
	name    string
	happen  func()
	mayLose bool // what a server said was written may be gone
}

// faults are those that happen to daemons.
func (c *chaos) faults() []fault {
	return []fault{
		{name: "kill a daemon", happen: c.kill},
		{name: "freeze a daemon", happen: c.freeze},
		{name: "kill two daemons", happen: func() { c.kill(); c.kill() }},
	}
}

// victim is a daemon that runs.
func (c *chaos) victim() *exec.Cmd {
	c.mu.Lock()
	defer c.mu.Unlock()
	running := slices.DeleteFunc(slices.Clone(c.daemons), func(d *exec.Cmd) bool { return c.frozen[d] || d.ProcessState != nil })
	if len(running) == 0 {
		return nil
	}
	return running[c.random.IntN(len(running))]
}

func (c *chaos) kill() {
	c.t.Helper()
	if d := c.victim(); d != nil {
		_ = d.Process.Kill()
		if err := d.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			c.t.Errorf("a daemon had ended by itself: %v", err)
		}
		c.startDaemon()
	}
}

func (c *chaos) freeze() {
	c.t.Helper()
	d := c.victim()
	if d == nil {
		return
	}
	c.mu.Lock()
	c.frozen[d] = true
	c.mu.Unlock()
	if err := d.Process.Signal(syscall.SIGSTOP); err != nil {
		c.t.Fatal(err)
	}
	c.startDaemon()
	c.healing.Go(func() {
		<-time.After(chaosFrozen)
		if err := d.Process.Signal(syscall.SIGCONT); err != nil {
			c.t.Error(err)
		}
		c.mu.Lock()
		delete(c.frozen, d)
		c.mu.Unlock()
	})
}
