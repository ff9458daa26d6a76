package actions

// Builtin is the catalogue: one line per action, in the order people see them.
func Builtin() []Spec {
	return []Spec{
		deleteContact(),
	}
}
