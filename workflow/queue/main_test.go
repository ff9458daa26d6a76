package queue

import (
	"os"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }
