package workflow

import "time"

// monotonic is this process's own count, which nobody can set. It is only for how long something takes here. What time it is, the
// store says.
func monotonic() time.Time { return time.Now() }
