package crmstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
)

// FileRewrite is what became of asking servers to write their append-only files anew, so that what was removed is not in them.
type FileRewrite string

// What can become of it; "" = no server keeps such a file.
const (
	FileRewriting FileRewrite = "rewriting" // it is under way, and done in seconds to minutes
	FileForbidden FileRewrite = "forbidden" // the store's user may not ask for it
	FileFailed    FileRewrite = "failed"    // the server could not begin
)

// StillHeld says why append-only files hold what was removed until a person has them written anew; "" when they do not.
func (f FileRewrite) StillHeld() string {
	switch f {
	case FileForbidden:
		return "the store's user may not have it written anew (+bgrewriteaof)"
	case FileFailed:
		return "the server did not begin to write it anew"
	}
	return ""
}

const (
	rewritePatience = 10 * time.Second // for one that is under way already, and began before the removal
	rewritePause    = 100 * time.Millisecond
)

// rewriteFiles asks each primary to write its append-only file anew. One that is under way may have begun before what was
// removed was gone, so it is waited for and then another is asked for.
func (s *Store) rewriteFiles(ctx context.Context) (FileRewrite, error) {
	if s.db.Volatile {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, rewritePatience)
	defer cancel()
	if c, ok := s.db.Redis.(*redis.ClusterClient); ok {
		states := make(chan FileRewrite, 1024)
		err := c.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
			state, err := rewriteFile(ctx, master)
			states <- state
			return err
		})
		close(states)
		worst := FileRewrite("")
		for state := range states {
			if worst == "" || worst == FileRewriting && state != "" {
				worst = state
			}
		}
		return worst, s.db.Explain(err)
	}
	state, err := rewriteFile(ctx, s.db.Redis)
	return state, s.db.Explain(err)
}

// rewriteFile asks one server.
func rewriteFile(ctx context.Context, server redis.Cmdable) (FileRewrite, error) {
	for {
		if text, err := server.Info(ctx, "persistence").Result(); err == nil && redisdb.ParseInfo(text)["aof_enabled"] == "0" {
			return "", nil
		}
		err := server.BgRewriteAOF(ctx).Err()
		switch {
		case err == nil:
			return FileRewriting, nil
		case strings.HasPrefix(err.Error(), "NOPERM"):
			return FileForbidden, nil
		case !strings.Contains(err.Error(), "in progress"):
			return FileFailed, fmt.Errorf("ask for the append-only file to be written anew: %w", err)
		}
		if err := redisdb.Sleep(ctx, rewritePause); err != nil {
			return FileFailed, fmt.Errorf("wait for the append-only file that is being written: %w", err)
		}
	}
}
