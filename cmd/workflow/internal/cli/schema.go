package cli

import (
	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

func schemaCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "schema", Short: "the JSON Schema of workflow files, for editors",
		Long: "schema prints the JSON Schema of workflow files, with which an editor completes and checks them as you type.\n" +
			"For editors with the YAML language server, put this as the first line of a workflow file:\n" +
			"  # yaml-language-server: $schema=workflow.schema.json",
		Example: "  workflow schema > workflow.schema.json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			s.out.printf("%s", definition.JSONSchema())
			return nil
		},
	}
}
