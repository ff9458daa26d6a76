// Package record says what a record is: ids, values, properties and schemas, the bytes in which a store keeps a record, its
// deletion facts and its audit events, and the one form of an e-mail address. The layout of the bytes stands in codec.go.
//
// # Promises
//
//   - The package is pure: equal arguments give equal results, and nothing is read or written but memory.
//   - Bytes that it has written once are read by every later version. Property numbers and their wire types never change.
//   - Bytes of any kind are safe to read: what is damaged is [ErrDamaged], and nothing panics.
//
// # Never
//
// It never knows of Redis, accounts, users or permissions, and never asks for the time.
package record
