// Package redisdb is the store's way to its database: addresses, the client, scripts, pipelines, replies as they come over the
// wire, and words for what goes wrong. It knows nothing of accounts or records.
//
// # Promises
//
//   - A script that may have been carried out is never sent twice; one that certainly was not is sent again.
//   - Every error of the client comes with words that say what to do, and stays wrapped.
//   - No error and no text for people holds a password or another secret of an address.
//
// # Never
//
// It never logs, never decides what a key means, and never opens a connection that nobody closes.
package redisdb
