package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// Names the folder that keeps a build cache between builds.
	cacheVariable = "FISSION_GO_CACHE"
	// What no build used for so long is removed from it, as Go does with its own; use is noted to the hour.
	unusedFor = 5*24*time.Hour + time.Hour
	// Where Go notes when it last removed what is unused.
	trimFile = "trim.txt"
)

// writableCache gives a build cache that can be written: the one that is kept, the prepared one or, where that is
// read-only, one in work. All that the prepared one holds is in each.
func writableCache(prepared, work string) (string, error) {
	const write = 2
	if kept := os.Getenv(cacheVariable); kept != "" {
		return kept, errors.Join(tidy(kept), link(prepared, kept))
	}
	if syscall.Access(prepared, write) == nil {
		return prepared, nil
	}
	own := filepath.Join(work, "cache")
	return own, link(prepared, own)
}

// link makes links to all files of a cache that another does not have. Other builds may do the same.
func link(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := filepath.Join(to, strings.TrimPrefix(path, from))
		if entry.IsDir() {
			return os.MkdirAll(at, 0o700)
		}
		if entry.Name() == trimFile {
			return nil
		}
		if err := os.Symlink(path, at); !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	})
}

// tidy removes what is unused from a cache that is kept, and links to a prepared folder that is gone. Go would do it by
// the age of what links lead to, and take them away under a build at work; so it is told that it just did.
func tidy(cache string) error {
	oldest := time.Now().Add(-unusedFor)
	err := filepath.WalkDir(cache, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := os.Stat(path)
		if err != nil || entry.Type().IsRegular() && info.ModTime().Before(oldest) {
			os.Remove(path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return err
	}
	// A file half written would make Go do it after all.
	scratch, err := os.CreateTemp(cache, trimFile)
	if err != nil {
		return err
	}
	defer scratch.Close()
	if _, err := fmt.Fprintf(scratch, "%d\n", time.Now().Unix()); err != nil {
		return err
	}
	return os.Rename(scratch.Name(), filepath.Join(cache, trimFile))
}
