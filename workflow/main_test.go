package workflow

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

func TestMain(m *testing.M) {
	code := storetest.Main(m)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
