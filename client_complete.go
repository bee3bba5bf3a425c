// client_complete.go finds what a word of a command line can become, for the shells and for the REPL.

package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// visibleCommands are the rows that people are shown.
func visibleCommands() (rows []*command) {
	for _, cmd := range commands {
		if cmd.group != "" {
			rows = append(rows, cmd)
		}
	}
	return rows
}

// completesTo says what a positional word of a command can be, counted from 0, behind the first one; see wordsOf.
func (cmd *command) completesTo(position int, first string) string {
	positional, _, _ := strings.Cut(cmd.args, "[-- ")
	words := strings.Fields(positional)
	if strings.Contains(positional, "...") {
		position = min(position, len(words)-1)
	}
	if position >= len(words) {
		return ""
	}
	word := strings.Trim(words[position], "[].")
	if proxy, file, both := strings.Cut(word, "|"); both && proxy == "PROXY" {
		word = proxy
		if first == "create" {
			word = file
		}
	}
	return placeholder(word)
}

// completesTo says what the value of a flag can be.
func (f *commandFlag) completesTo() string {
	return cmp.Or(strings.Join(f.values, " "), placeholder(f.arg))
}

// placeholder says what can be put in for a word of a usage line: "service", "proxy", "file", "command", or the words themselves.
func placeholder(word string) string {
	switch word {
	case "NAME":
		return "service"
	case "PROXY":
		return "proxy"
	case "FILE", "PATH", "DIR":
		return "file"
	case "SHELL":
		return "bash zsh fish"
	case "SIGNAL":
		return strings.Join(commonSignals, " ")
	case "COMMAND":
		return "command"
	}
	if strings.Contains(word, "|") {
		return strings.ReplaceAll(word, "|", " ")
	}
	return ""
}

// The scripts know the commands; for all else they ask the program (cmdComplete), so that a word of a line has one meaning for all shells and the REPL.
const (
	bashCompletion = `_zinit() {
  local zinit=${COMP_WORDS[0]} cur=${COMP_WORDS[COMP_CWORD]} word
  command -v -- "$zinit" >/dev/null || zinit=PROGRAM
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 && $cur != -* ]]; then
    COMPREPLY=($(compgen -W 'COMMANDS' -- "$cur"))
    return
  fi
  while IFS= read -r word; do
    if [[ $word == : ]]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$cur")
    else
      COMPREPLY+=("${word%%$'\t'*}")
    fi
  done < <("$zinit" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _zinit zinit
`
	zshCompletion = `#compdef zinit
_zinit() {
  local zinit=${(Q)words[1]} tab=$'\t'
  local -a all
  (( $+commands[$zinit] )) || [[ -x $zinit ]] || zinit=PROGRAM
  if (( CURRENT == 2 )) && [[ $words[CURRENT] != -* ]]; then
    all=(
COMMANDS    )
  else
    all=("${(@f)$("$zinit" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    [[ -n $all ]] || return 1
    [[ $all[1] == : ]] && { _files; return }
    all=(${${all//:/\\:}/$tab/:})
  fi
  _describe word all
}
[[ $funcstack[1] == _zinit ]] && _zinit "$@" || compdef _zinit zinit
`
	fishCompletion = `function __zinit_complete
    set -l zinit (commandline -opc)[1]
    command -q $zinit; or set zinit PROGRAM
    $zinit __complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null | while read -l word
        if test $word = :
            __fish_complete_path (commandline -ct)
        else
            echo $word
        end
    end
end
complete -c zinit -f
complete -c zinit -n 'not __fish_use_subcommand; or string match -q -- "-*" (commandline -ct)' -a '(__zinit_complete)'
COMMANDS`
)

func cmdCompletion(c *cli) int {
	script, row := "", ""
	switch c.args[0] {
	case "bash":
		script, row = bashCompletion, "%[1]s "
	case "zsh":
		script, row = zshCompletion, "      %[3]s\n"
	case "fish":
		script, row = fishCompletion, "complete -c zinit -n __fish_use_subcommand -a %[1]s -d %[2]s\n"
	default:
		return c.misuse("no completion for `%s`: bash, zsh or fish", c.args[0])
	}
	program, _ := os.Executable()
	rows := ""
	for _, cmd := range visibleCommands() {
		rows += fmt.Sprintf(row, cmd.name, shellQuote(cmd.help), shellQuote(cmd.name+":"+cmd.help))
	}
	fmt.Fprint(c.out, strings.NewReplacer("PROGRAM", shellQuote(program), "COMMANDS", strings.TrimSuffix(rows, " ")).Replace(script))
	return exitDone
}

// shellQuote quotes a text for all shells; a ' in it becomes ’.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", "’") + "'" }

// cmdComplete prints what the last of its words can become, each with its help behind a tab; ":" stands for the names of files.
func cmdComplete(c *cli) int {
	if len(c.args) == 0 {
		return exitUsage
	}
	last := len(c.args) - 1
	words := slices.DeleteFunc(slices.Clone(c.args[:last]), func(w string) bool { return w == "=" }) // bash makes words of --flag=value
	kind, lead, cur := c.completes(words, strings.TrimPrefix(c.args[last], "="))
	if kind == "file" && lead == "" {
		fmt.Fprintln(c.out, ":")
		return exitDone
	}
	for _, w := range c.wordsOf(kind, cur) {
		fmt.Fprintln(c.out, lead+w)
	}
	return exitDone
}

// completes returns what the word after words can be: its kind (see wordsOf), the part of cur that is fixed, and the rest.
func (c *cli) completes(words []string, cur string) (kind, lead, rest string) {
	known, position, first := globalFlags, 0, ""
	var cmd *command
	for i := 0; i < len(words); i++ {
		w := words[i]
		name, value, joined := strings.Cut(w, "=")
		if f := flagNamed(name, known); f != nil && f.arg != "" {
			if !joined {
				if i++; i == len(words) {
					return f.completesTo(), "", cur
				}
				value = words[i]
			}
			if f.name == "socket" {
				c.socket = value
			}
			continue
		}
		switch {
		case w == "--":
			return "file", "", cur
		case len(w) > 1 && w[0] == '-':
		case cmd == nil:
			if cmd = c.find(w); cmd == nil {
				return "", "", cur
			}
			known = cmd.known()
		default:
			position++
			first = cmp.Or(first, w)
		}
	}
	if !strings.HasPrefix(cur, "-") {
		if cmd == nil {
			return "command", "", cur
		}
		return cmd.completesTo(position, first), "", cur
	}
	if name, value, ok := strings.Cut(cur, "="); ok {
		if f := flagNamed(name, known); f != nil {
			return f.completesTo(), name + "=", value
		}
		return "", "", cur
	}
	for _, f := range known {
		if f.help != "" {
			kind += "\n--" + f.name + "\t" + f.helpText()
		}
	}
	return kind, "", cur
}

// wordsOf are the words of a kind that begin with cur: "service", "proxy", "file", "command", or the words themselves, by lines with the help
// of each behind a tab, or by spaces.
func (c *cli) wordsOf(kind, cur string) (words []string) {
	switch kind {
	case "command":
		for _, cmd := range visibleCommands() {
			words = append(words, cmd.name+"\t"+cmd.help)
		}
	case "service", "proxy":
		c.timeout = 2 * time.Second
		if _, err := c.dial(); err != nil {
			return nil
		}
		method := "service.list"
		if kind == "proxy" {
			method = "xinet.list"
		}
		_, _ = c.call(method, nil, &words)
		c.server.conn.Close()
	case "file":
		dir := cur[:strings.LastIndexByte(cur, '/')+1]
		names, _ := readNames(cmp.Or(dir, "."))
		for _, name := range names {
			name = dir + name
			if info, err := os.Stat(name); err == nil && info.IsDir() {
				name += "/"
			}
			words = append(words, name)
		}
	default:
		if words = strings.Fields(kind); strings.Contains(kind, "\n") {
			words = strings.Split(kind[1:], "\n")
		}
	}
	return slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, cur) })
}

// candidates are the words that may stand behind those of a line and begin with cur.
func (c *cli) candidates(words []string, cur string) (list []string) {
	kind, lead, rest := c.completes(words, cur)
	list = c.wordsOf(kind, rest)
	for i, w := range list {
		w, _, _ = strings.Cut(w, "\t")
		list[i] = lead + w
	}
	if kind == "command" && strings.HasPrefix("exit", rest) {
		list = append(list, "exit")
	}
	return list
}
