package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
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

var (
	moduleLine  = regexp.MustCompile(`(?m)^module\s+"?([^\s"]+)"?`)
	releaseName = regexp.MustCompile(`go(1\.[0-9]+)`)
)

// compile builds the source at path, a file or a folder, to target. Nothing is written beside the source: what is added
// to the package is laid over it. What the compiler says goes to log as it says it; without a log it becomes the error.
func compile(path, target, work string, log io.Writer) error {
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
	if len(files) == 0 {
		return fmt.Errorf("there are no Go files at the top of the source; it has %s", strings.Join(shown(folder), ", "))
	}
	if len(source.Names) == 0 {
		return errors.New("the source has no exported function that takes (http.ResponseWriter, *http.Request), like " +
			"func Handler(w http.ResponseWriter, r *http.Request)")
	}
	compilation := Compilation{folder: folder, work: work, overlay: map[string]string{}, log: log}
	module, arguments, err := compilation.module()
	if err != nil {
		return err
	}
	for file, content := range source.Changed {
		// The compiler tells of the file it reads, unless it is told of another.
		content = append([]byte("//line "+file+":1:1\n"), content...)
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
	// Where what the compiler says goes, or nothing.
	log io.Writer
}

// lay gives a file of the package a content that is not its own.
func (c *Compilation) lay(file string, content []byte) error {
	at := filepath.Join(c.work, fmt.Sprintf("laid-%d-%s", len(c.overlay), filepath.Base(file)))
	c.overlay[file] = at
	return os.WriteFile(at, content, 0o600)
}

// module gives the path of the package's module, and the arguments that let it be built where nothing may be written. The
// compiler gets a go.mod of its own, in which it notes modules that the source imports and its go.mod lacks.
func (c *Compilation) module() (string, []string, error) {
	file := filepath.Join(c.folder, "go.mod")
	own := filepath.Join(c.work, "go.mod")
	content, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		content = []byte("module function\n\ngo " + languageVersion() + "\n")
		c.overlay[file] = own
	} else if err != nil {
		return "", nil, fmt.Errorf("go.mod cannot be read: %w", err)
	}
	found := moduleLine.FindSubmatch(content)
	if found == nil {
		return "", nil, errors.New("go.mod has no module line; the first line of one is: module example.com/function")
	}
	if _, err := os.Stat(filepath.Join(c.folder, "vendor")); err == nil && c.overlay[file] == "" {
		return string(found[1]), nil, nil
	}
	if err := os.WriteFile(own, content, 0o600); err != nil {
		return "", nil, err
	}
	if sums, err := os.ReadFile(filepath.Join(c.folder, "go.sum")); err == nil {
		if err := os.WriteFile(filepath.Join(c.work, "go.sum"), sums, 0o600); err != nil {
			return "", nil, err
		}
	}
	// Downloads must not be read-only: whoever cleans up is not always root.
	return string(found[1]), []string{"-mod=mod", "-modfile=" + own, "-modcacherw"}, nil
}

// languageVersion is that of this compiler, as `go mod init` has it.
func languageVersion() string {
	if version := releaseName.FindStringSubmatch(runtime.Version()); version != nil {
		return version[1]
	}
	return "1.21"
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

// run calls the compiler. What it says has file and line.
func (c *Compilation) run(home, target string, arguments []string) error {
	overlay, err := json.Marshal(map[string]any{"Replace": c.overlay})
	if err != nil {
		return err
	}
	cache, err := writableCache(filepath.Join(home, "cache"), c.work)
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
	if os.Getenv("HOME") == "" && os.Getenv("GOPATH") == "" {
		command.Env = append(command.Env, "GOPATH="+filepath.Join(c.work, "modules"))
	}
	// What it started must not keep its output open after the time is up.
	command.WaitDelay = time.Second
	var said bytes.Buffer
	told := &compilerOutput{to: &said, folder: c.work}
	if c.log != nil {
		told.to = c.log
	}
	told.relative, _ = filepath.Rel(c.folder, c.work)
	command.Stdout, command.Stderr = told, told
	if err = command.Run(); err == nil {
		return nil
	}
	if deadline.Err() != nil {
		return fmt.Errorf("the code does not compile within %v", buildTimeout)
	}
	var failed *exec.ExitError
	if !errors.As(err, &failed) {
		return fmt.Errorf("the code cannot be compiled: %w", err)
	}
	if c.log != nil {
		return errors.New("the build failed; the lines above say why")
	}
	said.Truncate(min(said.Len(), maxComplaint))
	if len(bytes.TrimSpace(said.Bytes())) == 0 {
		return fmt.Errorf("the code cannot be compiled: %w", err)
	}
	return fmt.Errorf("the code does not compile:\n%s", bytes.TrimSpace(said.Bytes()))
}

// compilerOutput passes on what the compiler says without the folder of our own copies: a user knows a go.mod by its name.
type compilerOutput struct {
	to               io.Writer
	folder, relative string
}

func (o *compilerOutput) Write(said []byte) (int, error) {
	shown := string(said)
	for _, folder := range []string{o.folder, o.relative} {
		shown = strings.ReplaceAll(shown, folder+string(filepath.Separator), "")
	}
	_, err := io.WriteString(o.to, shown)
	return len(said), err
}
