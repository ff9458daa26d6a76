package crmstore

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/redis/go-redis/v9"
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

// encode is the enrollment as it is stored: state, revision (4 bytes, little-endian), run.
func (e *Enrollment) encode() string {
	b := binary.LittleEndian.AppendUint32([]byte{byte(e.State)}, uint32(e.Revision))
	return string(append(b, e.Run...))
}

func parseEnrollment(s string) (Enrollment, error) {
	if len(s) < 5 || EnrollmentState(s[0]) != Completed && EnrollmentState(s[0]) != Existing {
		return Enrollment{}, fmt.Errorf("an enrollment of %d bytes is damaged", len(s))
	}
	return Enrollment{State: EnrollmentState(s[0]), Revision: int(binary.LittleEndian.Uint32(view(s[1:]))), Run: s[5:]}, nil
}

// Enrollments reads enrollments of a workflow, in the order asked.
func (s *Store) Enrollments(ctx context.Context, o ObjectType, workflow string, want []PartitionIDs) ([][]Enrollment, error) {
	found := make([][]Enrollment, len(want))
	starts := windowStarts(want)
	err := inWindows(ctx, len(starts)-1, 1, func(ctx context.Context, w, _ int) error {
		pipe := s.rdb.Pipeline()
		commands := make(map[int]*redis.SliceCmd)
		for i := starts[w]; i < starts[w+1]; i++ {
			found[i] = make([]Enrollment, len(want[i].IDs))
			if len(want[i].IDs) > 0 {
				commands[i] = pipe.HMGet(ctx, s.partition(o, want[i].Partition).enr(workflow), idFields(want[i].IDs)...)
			}
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return s.trouble(err)
		}
		for i, command := range commands {
			for j, v := range command.Val() {
				text, ok := v.(string)
				if !ok {
					continue
				}
				var err error
				if found[i][j], err = parseEnrollment(text); err != nil {
					return fmt.Errorf("%s %s: %w", o, want[i].IDs[j], err)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read enrollments of workflow %s: %w", workflow, err)
	}
	return found, nil
}

// idFields is the ids as fields of a hash.
func idFields(ids []ID) []string {
	fields := make([]string, len(ids))
	for i, id := range ids {
		b := id.Bytes()
		fields[i] = string(b[:])
	}
	return fields
}

var scriptEnrollExisting = mustScript("enroll_existing")

// MarkExisting enrolls records as Existing, unless they have an enrollment already or are not there.
func (s *Store) MarkExisting(ctx context.Context, o ObjectType, workflow string, revision int, ids []PartitionIDs) error {
	value := (&Enrollment{State: Existing, Revision: revision}).encode()
	var calls []call
	for _, group := range ids {
		for at := 0; at < len(group.IDs); at += recordsPerCall {
			part := group.IDs[at:min(at+recordsPerCall, len(group.IDs))]
			keys := s.partition(o, group.Partition)
			calls = append(calls, call{scriptEnrollExisting, []string{keys.enr(workflow), keys.rec()}, []any{value, packIDs(part)}})
		}
	}
	err := inWindows(ctx, len(calls), callsPerWindow, func(ctx context.Context, from, to int) error {
		_, err := s.runAll(ctx, calls[from:to])
		return err
	})
	if err != nil {
		return fmt.Errorf("enroll existing %s in workflow %s: %w", o.Plural(), workflow, err)
	}
	return nil
}
