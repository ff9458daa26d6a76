package record

import (
	"encoding/binary"
	"fmt"
)

// EnrollmentState is where a record stands in a workflow.
type EnrollmentState byte

// The enrollment states.
const (
	NotEnrolled EnrollmentState = 0
	Completed   EnrollmentState = 'c' // the actions were done
	Existing    EnrollmentState = 'x' // matched when a workflow with `existing: false` was published; never enrolls
)

// Enrollment is a record's enrollment in one workflow; the zero Enrollment means none.
type Enrollment struct {
	State    EnrollmentState
	Revision int
	Run      string
}

// Encode is the enrollment as it is stored: state, revision (4 bytes, little-endian), run.
func (e *Enrollment) Encode() string {
	b := binary.LittleEndian.AppendUint32([]byte{byte(e.State)}, uint32(e.Revision))
	return string(append(b, e.Run...))
}

// ParseEnrollment reads what [Enrollment.encode] wrote. The zero Enrollment comes with an error.
func ParseEnrollment(s string) (Enrollment, error) {
	if len(s) < 5 || EnrollmentState(s[0]) != Completed && EnrollmentState(s[0]) != Existing {
		return Enrollment{}, fmt.Errorf("an enrollment of %d bytes is damaged", len(s))
	}
	return Enrollment{State: EnrollmentState(s[0]), Revision: int(binary.LittleEndian.Uint32(BytesOf(s[1:]))), Run: s[5:]}, nil
}
