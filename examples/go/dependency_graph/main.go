// Program dependency_graph shows what needs what: as a tree, and in the language of Graphviz or Mermaid.
// Usage: go run ./dependency_graph [dot|mermaid]
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	zinit "zinit/clients/go"
)

func main() {
	format := "mermaid"
	if len(os.Args) > 1 {
		format = os.Args[1]
	}
	ctx := context.Background()
	c, err := zinit.Dial(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	tree, err := c.ServiceTree(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tree.Text)
	graph, err := c.ServiceGraph(ctx, &zinit.ServiceGraphOptions{Format: format})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(graph.Text)
}
