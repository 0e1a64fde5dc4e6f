package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	// Time of one compilation. The platform ends a specialization earlier; a builder may not.
	buildTimeout = 10 * time.Minute
	// Bytes of what the compiler says that are shown.
	maxComplaint = 64 << 10
	// The folder of the package that serves a function, inside the function's module.
	serveFolder = "fission_serve"
	// The file that starts it.
	mainFile = "zz_fission_main.go"
)

var moduleLine = regexp.MustCompile(`(?m)^module\s+"?([^\s"]+)"?`)

// compile builds the source at path, a file or a folder, to target. Nothing is written beside the source: what is added
// to the package is laid over it.
func compile(path, target, work string) error {
	home, err := home()
	if err != nil {
		return err
	}
	folder, files, err := gather(path, work)
	if err != nil {
		return err
	}
	source, err := readSource(files)
	if err != nil {
		return err
	}
	if len(source.Names) == 0 {
		return fmt.Errorf("%s has no exported function that takes (http.ResponseWriter, *http.Request)", path)
	}
	compilation := Compilation{folder: folder, work: work, overlay: map[string]string{}}
	module, arguments, err := compilation.module()
	if err != nil {
		return err
	}
	for file, content := range source.Changed {
		if err := compilation.lay(file, content); err != nil {
			return err
		}
	}
	if err := compilation.lay(filepath.Join(folder, mainFile), mainSource(module, source.Names)); err != nil {
		return err
	}
	for _, file := range []string{"serve.go", "output.go"} {
		compilation.overlay[filepath.Join(folder, serveFolder, file)] = filepath.Join(home, "serve", file)
	}
	return compilation.run(home, target, arguments)
}

// home is the prepared folder this program lies in.
func home() (string, error) {
	own, err := os.Executable()
	return filepath.Dir(own), err
}

// gather finds the folder to build in and its files. A single file gets a folder and the name of a Go file.
func gather(path, work string) (string, map[string][]byte, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", nil, err
	}
	if info, err := os.Stat(path); err != nil {
		return "", nil, fmt.Errorf("there is no code at %s", path)
	} else if info.IsDir() {
		files, err := sourceFiles(path)
		return path, files, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", nil, fmt.Errorf("%s cannot be read: %w", path, err)
	}
	folder := filepath.Join(work, "source")
	file := filepath.Join(folder, strings.TrimSuffix(filepath.Base(path), ".go")+".go")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", nil, err
	}
	return folder, map[string][]byte{file: content}, os.WriteFile(file, content, 0o600)
}

// Compilation is one run of the compiler.
type Compilation struct {
	// Of the package.
	folder string
	// A folder to write to.
	work string
	// Files seen by the compiler, and the files that hold their content.
	overlay map[string]string
}

// lay gives a file of the package a content that is not its own.
func (c *Compilation) lay(file string, content []byte) error {
	at := filepath.Join(c.work, fmt.Sprintf("laid-%d-%s", len(c.overlay), filepath.Base(file)))
	c.overlay[file] = at
	return os.WriteFile(at, content, 0o600)
}

// module gives the path of the package's module, and the arguments that let it be built where nothing may be written.
func (c *Compilation) module() (string, []string, error) {
	file := filepath.Join(c.folder, "go.mod")
	content, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return "function", nil, c.lay(file, []byte("module function\n\ngo 1.21\n"))
	}
	if err != nil {
		return "", nil, fmt.Errorf("%s cannot be read: %w", file, err)
	}
	found := moduleLine.FindSubmatch(content)
	if found == nil {
		return "", nil, fmt.Errorf("%s has no module line", file)
	}
	if _, err := os.Stat(filepath.Join(c.folder, "vendor")); err == nil {
		return string(found[1]), nil, nil
	}
	copied := filepath.Join(c.work, "go.mod")
	if err := os.WriteFile(copied, content, 0o600); err != nil {
		return "", nil, err
	}
	if sums, err := os.ReadFile(filepath.Join(c.folder, "go.sum")); err == nil {
		if err := os.WriteFile(filepath.Join(c.work, "go.sum"), sums, 0o600); err != nil {
			return "", nil, err
		}
	}
	return string(found[1]), []string{"-mod=mod", "-modfile=" + copied}, nil
}

func mainSource(module string, names []string) []byte {
	var text bytes.Buffer
	fmt.Fprintf(&text, "package main\n\nimport %s %q\n\nfunc main() {\n", serveFolder, module+"/"+serveFolder)
	fmt.Fprintf(&text, "\t%s.Main(map[string]any{\n", serveFolder)
	for _, name := range names {
		fmt.Fprintf(&text, "\t\t%q: %s,\n", name, name)
	}
	text.WriteString("\t})\n}\n")
	return text.Bytes()
}

// cache gives a build cache that can be written: the prepared one or, where that is read-only, links to all it holds.
func (c *Compilation) cache(prepared string) (string, error) {
	const write = 2
	if syscall.Access(prepared, write) == nil {
		return prepared, nil
	}
	own := filepath.Join(c.work, "cache")
	return own, filepath.WalkDir(prepared, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := filepath.Join(own, strings.TrimPrefix(path, prepared))
		if entry.IsDir() {
			return os.Mkdir(at, 0o700)
		}
		if entry.Name() == "trim.txt" {
			return nil
		}
		return os.Symlink(path, at)
	})
}

// run calls the compiler. What it says becomes the error, with file and line.
func (c *Compilation) run(home, target string, arguments []string) error {
	overlay, err := json.Marshal(map[string]any{"Replace": c.overlay})
	if err != nil {
		return err
	}
	cache, err := c.cache(filepath.Join(home, "cache"))
	if err != nil {
		return err
	}
	overlayFile := filepath.Join(c.work, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		return err
	}
	deadline, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	arguments = append([]string{"build", "-overlay=" + overlayFile, "-ldflags=-s -w", "-buildvcs=false", "-o", target}, arguments...)
	command := exec.CommandContext(deadline, filepath.Join(runtime.GOROOT(), "bin", "go"), append(arguments, ".")...)
	command.Dir = c.folder
	command.Env = append(os.Environ(),
		"GOCACHE="+cache, "GOTOOLCHAIN=local", "CGO_ENABLED=0", "GOENV=off", "GOFLAGS=", "GOWORK=off",
		"GO111MODULE=on")
	// What it started must not keep its output open after the time is up.
	command.WaitDelay = time.Second
	said, err := command.CombinedOutput()
	if err == nil {
		return nil
	}
	if deadline.Err() != nil {
		return fmt.Errorf("the code does not compile within %v", buildTimeout)
	}
	if len(said) > maxComplaint {
		said = said[:maxComplaint]
	}
	if len(bytes.TrimSpace(said)) == 0 {
		return fmt.Errorf("the code cannot be compiled: %w", err)
	}
	return fmt.Errorf("the code does not compile:\n%s", bytes.TrimSpace(said))
}
