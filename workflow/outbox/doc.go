// Package outbox sends the mails that wait in the store's outbox, through one SMTP server.
//
// # Promises
//
//   - A mail that a server has accepted, and whose acceptance is recorded, is never sent again. The acceptance is
//     recorded before anything else happens, also when the process is told to stop.
//   - Every attempt carries the mail's one Message-ID and date, so that a copy which went out in doubt (the connection
//     broke before the server's answer came) can be recognized by its receiver.
//   - A server that is silent is left after a time limit. What it cannot take now is tried again, ever more seldom, and
//     given up loudly after 14 days; what it refuses for good is given up at once, and can be sent by hand.
//   - While the caller forbids it ([Sender].May), no mail is taken: it waits as it is, and goes out once when that is over.
//   - The password is kept nowhere and appears in no error and no line of the log. Neither do addresses in the log.
//
// # Never
//
// It never decides that a mail is due, and never asks who is allowed to send it: that is done where mail is queued.
package outbox
