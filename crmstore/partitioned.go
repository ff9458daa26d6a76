package crmstore

import (
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// byPartition sorts ids into partitions; places[i] says where the ids of the i-th PartitionIDs stood.
func byPartition(ids []record.ID, partitions int) (want []record.PartitionIDs, places [][]int) {
	g := groupBy(len(ids), partitions, func(i int) int { return ids[i].Partition(partitions) })
	sorted := make([]record.ID, len(ids))
	for i, place := range g.order {
		sorted[i] = ids[place]
	}
	for p := range partitions {
		if from, to := g.start[p], g.start[p+1]; from < to {
			want = append(want, record.PartitionIDs{Partition: p, IDs: sorted[from:to]})
			places = append(places, g.of(p))
		}
	}
	return want, places
}
