package cli

import "github.com/spf13/cobra"

func startVerbs(s *session) []*cobra.Command {
	return []*cobra.Command{demoCommand(s), accountCommand(s), usersCommand(s)}
}

func recordVerbs(s *session) []*cobra.Command {
	return []*cobra.Command{
		recordsCommand(s), objectsCommand(s), associationsCommand(s), propertiesCommand(s), listsCommand(s),
		deleteCommand(s), binCommand(s), restoreCommand(s), auditCommand(s),
	}
}

func workflowVerbs(s *session) []*cobra.Command {
	return []*cobra.Command{
		newCommand(s), validateCommand(s), explainCommand(s), reviewCommand(s), publishCommand(s), listCommand(s), showCommand(s), diffCommand(s), rollbackCommand(s),
	}
}

func runVerbs(s *session) []*cobra.Command {
	return []*cobra.Command{
		runCommand(s), runsCommand(s), approveCommand(s), cancelCommand(s), resumeCommand(s), undoCommand(s), whyCommand(s),
	}
}

func operateVerbs(s *session) []*cobra.Command {
	return []*cobra.Command{daemonCommand(s), daemonsCommand(s), doctorCommand(s), purgeCommand(s), outboxCommand(s), blocklistCommand(s), legalHoldCommand(s), schemaCommand(s), completionCommand(s), versionCommand(s), referenceCommand(s)}
}
