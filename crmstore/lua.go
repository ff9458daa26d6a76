package crmstore

import (
	"embed"
	"io/fs"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
)

//go:embed lua
var luaFiles embed.FS

// luaFolder is the folder of scripts, with that of their libraries in it.
func luaFolder() fs.FS {
	folder, err := fs.Sub(luaFiles, "lua")
	if err != nil {
		panic("crmstore: " + err.Error()) // the name is not one of a folder
	}
	return folder
}

// mustLuaScript is a script of this package, by its name without .lua.
func mustLuaScript(name string) *redisdb.Script { return redisdb.MustScript(luaFolder(), name) }
