// config_exec.go splits a command line into words as a shell would, and says when only a shell can run it.

package main

import (
	"errors"
	"slices"
	"strings"
)

// split is splitExec for a command in either form; a list never needs a shell.
func (e execDef) split() (argv []string, needsShell bool, err error) {
	if e.Line == "" {
		return e.Argv, false, nil
	}
	return splitExec(e.Line)
}

// isPipe says whether a command line is a pipe of a shell. What is inside of $( ) or back-quotes is not looked at.
func isPipe(line string) bool {
	return splitLine(line).pipe && !strings.Contains(line, "$(") && !strings.Contains(line, "`")
}

// splitExec splits a command line by the quoting rules of POSIX sh (XCU 2.2). When it has something that only a shell can do (an operator,
// expansion, pattern or comment outside quotes, or a leading VAR=value), needsShell is true and argv is nil.
// An unclosed quote is an error that names its position in characters, unless the line goes to a shell and has a construct
// in which quotes count otherwise (comment, here-document, nested expansion): then the shell judges.
func splitExec(line string) (argv []string, needsShell bool, err error) {
	s := splitLine(line)
	inLine := func(word string) bool { return strings.Contains(line, word) }
	switch {
	case s.err != nil && s.shell && slices.ContainsFunc([]string{"#", "<<", "$(", "${", "`"}, inLine):
		return nil, true, nil
	case s.err != nil:
		return nil, false, s.err
	case len(s.argv) == 0 && !s.shell:
		return nil, false, errors.New("the command is empty; give the program and its arguments, as in \"/usr/bin/app --port 80\"")
	case s.shell:
		return nil, true, nil
	case s.argv[0] == "":
		return nil, false, errors.New("the command begins with an empty word, which is no program")
	}
	return s.argv, false, nil
}
