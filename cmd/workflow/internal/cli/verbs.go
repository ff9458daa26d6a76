package cli

import "github.com/spf13/cobra"

func (s *session) startVerbs() []*cobra.Command {
	return []*cobra.Command{s.demoCommand(), s.accountCommand(), s.usersCommand()}
}

func (s *session) recordVerbs() []*cobra.Command {
	return []*cobra.Command{
		s.recordsCommand(), s.objectsCommand(), s.associationsCommand(), s.propertiesCommand(), s.listsCommand(),
		s.deleteCommand(), s.binCommand(), s.restoreCommand(), s.auditCommand(),
	}
}

func (s *session) workflowVerbs() []*cobra.Command {
	return []*cobra.Command{
		s.validateCommand(), s.explainCommand(), s.reviewCommand(), s.publishCommand(), s.listCommand(), s.showCommand(),
	}
}

func (s *session) runVerbs() []*cobra.Command {
	return []*cobra.Command{
		s.runCommand(), s.runsCommand(), s.approveCommand(), s.cancelCommand(), s.resumeCommand(), s.undoCommand(), s.whyCommand(),
	}
}

func (s *session) operateVerbs() []*cobra.Command {
	return []*cobra.Command{s.daemonCommand(), s.daemonsCommand(), s.doctorCommand(), s.purgeCommand(), s.outboxCommand(), s.blocklistCommand(), s.legalHoldCommand(), s.schemaCommand(), s.completionCommand(), s.versionCommand(), s.referenceCommand()}
}
