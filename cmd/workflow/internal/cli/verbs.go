package cli

import "github.com/spf13/cobra"

func (s *session) startVerbs() []*cobra.Command {
	return []*cobra.Command{s.accountCommand()}
}

func (s *session) recordVerbs() []*cobra.Command {
	return []*cobra.Command{s.propertiesCommand(), s.binCommand(), s.restoreCommand(), s.auditCommand()}
}

func (s *session) workflowVerbs() []*cobra.Command { return []*cobra.Command{} }

func (s *session) runVerbs() []*cobra.Command { return []*cobra.Command{} }

func (s *session) operateVerbs() []*cobra.Command {
	return []*cobra.Command{s.doctorCommand(), s.completionCommand(), s.versionCommand()}
}
