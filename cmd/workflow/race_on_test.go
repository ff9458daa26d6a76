//go:build race

package main

// raceDetector says that the programs that scripts start carry the race detector, which makes them several times slower.
const raceDetector = true
