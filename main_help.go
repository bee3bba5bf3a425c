// main_help.go writes the help, from the tables of commands and flags; it says nothing that they do not know.

package main

import (
	"fmt"
	"strings"
)

func cmdHelp(c *cli) int {
	if len(c.args) == 0 {
		return c.overview()
	}
	if c.args[0] == "all" {
		for _, cmd := range commands {
			if cmd.group != "" {
				c.entry(13, cmd.name, cmd.help, "")
			}
		}
		return exitDone
	}
	cmd := c.find(c.args[0])
	if cmd == nil {
		err := c.unknownCommand(c.args[0]).(*usageError)
		errorf("%s", err.text)
		hint("%s", strings.Replace(err.hint, "`zinit ", "`zinit help ", 1))
		return exitUsage
	}
	return c.commandHelp(cmd)
}

// overview is the help that fits one screen of 80 columns and 24 lines.
func (c *cli) overview() int {
	c.paragraph("zinit " + version + " starts, watches and stops services.\n\nusage: zinit [--socket PATH] [--json] [--no-color] [--timeout MS] COMMAND ...")
	fmt.Fprintln(c.out)
	width := 80
	if c.width > 0 {
		width = min(width, c.width)
	}
	for _, group := range []string{"look", "run", "configure", "server", "other"} {
		var names []string
		for _, cmd := range commands {
			if cmd.group == group {
				names = append(names, cmd.name)
			}
		}
		head := group
		for _, line := range wrap(names, width-13) {
			fmt.Fprintf(c.out, "  %s %s\n", c.paint(styleBold, fmt.Sprintf("%-10s", head)), line)
			head = ""
		}
	}
	fmt.Fprintln(c.out)
	for _, e := range [][2]string{
		{"zinit list", "what there is, and how it is"},
		{"zinit create hello -- sleep 60", "a first service"},
		{"zinit why web", "why it does not run, and what to do"},
		{"zinit logs -f web", "what it writes"},
		{"zinit help logs", "more about a command"},
		{"zinit help all", "a line about every command"},
	} {
		c.entry(38, "  "+e[0], e[1], "")
	}
	return exitDone
}

// commandHelp prints all there is to know about one command.
func (c *cli) commandHelp(cmd *command) int {
	c.paragraph("usage: zinit " + cmd.usage())
	if len(cmd.aliases) > 0 {
		fmt.Fprintln(c.out, "also:  zinit "+strings.Join(cmd.aliases, ", "))
	}
	fmt.Fprintln(c.out)
	c.paragraph(sentence(cmd.help) + "\n" + cmd.more)
	if len(cmd.flags) > 0 {
		fmt.Fprintln(c.out)
	}
	for _, f := range cmd.flags {
		if f.help == "" {
			continue
		}
		short := "    "
		if f.short != 0 {
			short = "-" + string(f.short) + ", "
		}
		c.entry(31, "  "+short+f.spelling(), f.helpText(), "")
	}
	if !cmd.raw {
		c.paragraph("\nWith every command: [--socket PATH] [--json] [--no-color] [--timeout MS]")
	}
	return exitDone
}

// sentence makes one of a help text; a question is one already, but for its first letter.
func sentence(help string) string {
	return strings.ToUpper(help[:1]) + help[1:] + when(!strings.HasSuffix(help, "?"), ".")
}

func (c *cli) usageHint() string {
	if c.cmd == nil {
		return "zinit help"
	}
	return "usage: zinit " + c.cmd.usage()
}

// usage is the command line of a command: its name, words and flags.
func (cmd *command) usage() string {
	u := cmd.name
	positional, program, hasProgram := strings.Cut(cmd.args, "[-- ")
	if p := strings.TrimSpace(positional); p != "" {
		u += " " + p
	}
	if len(cmd.flags) > 4 {
		u += " [FLAG...]"
	} else {
		for _, f := range cmd.flags {
			u += " [" + f.spelling() + "]"
		}
	}
	if hasProgram {
		u += " [-- " + program
	}
	return u
}
