package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/scanner"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// File names shown to someone whose code is not there.
const shownFiles = 20

var elfMagic = []byte("\x7fELF")

// makeProgram gives the path of an executable for the code at path: a program as it is, or what source compiles to.
// Files it makes go to work.
func makeProgram(path, work string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("there is no code at %s", path)
	}
	if info.IsDir() {
		if sources, _ := filepath.Glob(filepath.Join(path, "*.go")); len(sources) == 0 {
			if path, err = onlyProgram(path); err != nil {
				return "", err
			}
		}
	}
	if isProgram(path) {
		return executable(path, work)
	}
	target := filepath.Join(work, "program")
	return target, compile(path, target, work, nil)
}

// buildTo compiles a function's source to a file and tells on standard error how it goes.
func buildTo(source, target string) error {
	work, err := os.MkdirTemp("", "build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if target, err = filepath.Abs(target); err != nil {
		return err
	}
	return compile(source, target, work, os.Stderr)
}

func isProgram(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	start := make([]byte, len(elfMagic))
	_, err = io.ReadFull(file, start)
	return err == nil && bytes.Equal(start, elfMagic)
}

// onlyProgram finds the first program of a folder without source.
func onlyProgram(folder string) (string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "", fmt.Errorf("%s cannot be read: %w", folder, err)
	}
	for _, entry := range entries {
		if path := filepath.Join(folder, entry.Name()); isProgram(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("the package has neither Go files nor a program at its top; it has %s", strings.Join(shown(folder), ", "))
}

// shown are names of a folder for someone whose code is not there.
func shown(folder string) []string {
	entries, _ := os.ReadDir(folder)
	names := []string{}
	for _, entry := range entries[:min(len(entries), shownFiles)] {
		names = append(names, entry.Name())
	}
	if len(names) == 0 {
		return []string{"nothing"}
	}
	return names
}

// executable gives a path the program can be executed at: its own, or a copy where its mode forbids.
func executable(path, work string) (string, error) {
	info, err := os.Stat(path)
	if err == nil && info.Mode()&0o111 != 0 {
		return path, nil
	}
	program, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%s cannot be read: %w", path, err)
	}
	defer program.Close()
	path = filepath.Join(work, "program")
	copied, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		return "", err
	}
	// The system copies from file to file by itself.
	_, err = io.Copy(copied, program)
	return path, errors.Join(err, copied.Close())
}

// Source is the main package of a function.
type Source struct {
	// What can be an entry point: exported functions that look like a handler, and exported variables.
	Names []string
	// Files whose content must be another, with it: a `main` of its own makes room for ours.
	Changed map[string][]byte
}

// readSource parses files, given as path and content.
func readSource(files map[string][]byte) (*Source, error) {
	source := &Source{Changed: map[string][]byte{}}
	positions := token.NewFileSet()
	for path, content := range files {
		// All files lie at the top, so this is their path as the user knows it.
		file, err := parser.ParseFile(positions, filepath.Base(path), content, parser.SkipObjectResolution)
		if err != nil {
			return nil, unparsable(err)
		}
		if file.Name.Name != "main" {
			where := positions.Position(file.Name.Pos())
			return nil, fmt.Errorf("%s: the package of a function is called main, not %s", where, file.Name.Name)
		}
		for _, declaration := range file.Decls {
			switch declaration := declaration.(type) {
			case *ast.FuncDecl:
				source.function(declaration, path, content, positions)
			case *ast.GenDecl:
				source.variables(declaration)
			}
		}
	}
	sort.Strings(source.Names)
	return source, nil
}

// unparsable has each of a file's syntax errors on a line, up to the parser's own limit.
func unparsable(err error) error {
	var list scanner.ErrorList
	if !errors.As(err, &list) {
		return err
	}
	text := "the code does not parse:"
	for _, one := range list {
		text += "\n" + one.Error()
	}
	return errors.New(text)
}

func (s *Source) function(f *ast.FuncDecl, path string, content []byte, positions *token.FileSet) {
	if f.Recv != nil {
		return
	}
	if f.Name.Name == "main" {
		at := positions.Position(f.Name.Pos()).Offset
		s.Changed[path] = append(append(append([]byte{}, content[:at]...), '_'), content[at:]...)
		return
	}
	parameters := f.Type.Params.NumFields()
	if f.Name.IsExported() && f.Type.TypeParams == nil && f.Type.Results == nil && (parameters == 2 || parameters == 3) {
		s.Names = append(s.Names, f.Name.Name)
	}
}

func (s *Source) variables(d *ast.GenDecl) {
	if d.Tok != token.VAR {
		return
	}
	for _, spec := range d.Specs {
		for _, name := range spec.(*ast.ValueSpec).Names {
			if name.IsExported() {
				s.Names = append(s.Names, name.Name)
			}
		}
	}
}

// sourceFiles reads the Go files of a folder that are compiled on this machine.
func sourceFiles(folder string) (map[string][]byte, error) {
	context := build.Default
	context.CgoEnabled = false
	files := map[string][]byte{}
	paths, _ := filepath.Glob(filepath.Join(folder, "*.go"))
	for _, path := range paths {
		fits, err := context.MatchFile(folder, filepath.Base(path))
		if err != nil || !fits || strings.HasSuffix(path, "_test.go") {
			continue
		}
		if files[path], err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("%s cannot be read: %w", path, err)
		}
	}
	return files, nil
}
