// Answers, with the libraries that the daemon and docker buildx use, which entries of a tree are sent, and with
// which bytes. Input: JSON lines of cases on standard input; output: the same with the answers, one a line.
//
//	{"tree": ["a/", "a/b", "l -> a/b"], "include": [], "exclude": [], "follow": []}  ->  "sent": [...] or "error"
//	{"patterns": [...], "paths": [...]}                                              ->  "matched": [true, ...] or "error"
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/tonistiigi/fsutil"
)

type testCase struct {
	Tree     []string `json:"tree,omitempty"`
	Include  []string `json:"include,omitempty"`
	Exclude  []string `json:"exclude,omitempty"`
	Follow   []string `json:"follow,omitempty"`
	Sent     []string `json:"sent"`
	Patterns []string `json:"patterns,omitempty"`
	Paths    []string `json:"paths,omitempty"`
	Matched  []bool   `json:"matched,omitempty"`
	Error    string   `json:"error,omitempty"`
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func plant(root string, tree []string) {
	for _, entry := range tree {
		if name, target, link := strings.Cut(entry, " -> "); link {
			path := filepath.Join(root, name)
			must(os.MkdirAll(filepath.Dir(path), 0o755))
			must(os.Symlink(target, path))
		} else if strings.HasSuffix(entry, "/") {
			must(os.MkdirAll(filepath.Join(root, entry), 0o755))
		} else {
			path := filepath.Join(root, entry)
			must(os.MkdirAll(filepath.Dir(path), 0o755))
			must(os.WriteFile(path, nil, 0o644))
		}
	}
}

func sent(c *testCase) error {
	root, err := os.MkdirTemp("", "oracle")
	must(err)
	defer os.RemoveAll(root)
	plant(root, c.Tree)
	base, err := fsutil.NewFS(root)
	must(err)
	filtered, err := fsutil.NewFilterFS(base, &fsutil.FilterOpt{
		IncludePatterns: c.Include, ExcludePatterns: c.Exclude, FollowPaths: c.Follow})
	if err != nil {
		return err
	}
	c.Sent = []string{}
	return filtered.Walk(context.Background(), "/", func(path string, entry fs.DirEntry, err error) error {
		c.Sent = append(c.Sent, path)
		return err
	})
}

func match(c *testCase) error {
	matcher, err := patternmatcher.New(c.Patterns)
	if err != nil {
		return err
	}
	for _, path := range c.Paths {
		found, err := matcher.MatchesOrParentMatches(path)
		if err != nil {
			return err
		}
		c.Matched = append(c.Matched, found)
	}
	return nil
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for lines.Scan() {
		var c testCase
		must(json.Unmarshal(lines.Bytes(), &c))
		ask := sent
		if c.Patterns != nil {
			ask = match
		}
		if err := ask(&c); err != nil {
			c.Error, c.Sent, c.Matched = err.Error(), nil, nil
		}
		must(out.Encode(&c))
	}
}
