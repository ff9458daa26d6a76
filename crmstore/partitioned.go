package crmstore

import (
	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// byPartition sorts ids into partitions; places[i] says where the ids of the i-th PartitionIDs stood.
func byPartition(ids []record.ID, partitions int) (want []record.PartitionIDs, places [][]int) {
	g := redisdb.GroupBy(len(ids), partitions, func(i int) int { return ids[i].Partition(partitions) })
	sorted := make([]record.ID, len(ids))
	for i, place := range g.Order {
		sorted[i] = ids[place]
	}
	for p := range partitions {
		if from, to := g.Start[p], g.Start[p+1]; from < to {
			want = append(want, record.PartitionIDs{Partition: p, IDs: sorted[from:to]})
			places = append(places, g.Of(p))
		}
	}
	return want, places
}
