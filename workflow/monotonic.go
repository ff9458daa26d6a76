package workflow

import "time"

// monotonic reads this process's own clock, to measure how long something takes. The store's clock says what time it is.
func monotonic() time.Time { return time.Now() }
