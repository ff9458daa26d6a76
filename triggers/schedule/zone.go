package schedule

import (
	_ "embed" // the list of zones
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // so that every machine knows the zones of the list

	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// zoneList is the IANA names, one a line. Zones are checked against it and not only against what the
// machine has, so that a file is right or wrong on every machine alike; the machine's own name for
// its zone ("Local") is refused by it.
//
//go:embed zones.txt
var zoneList string

// parseZone finds a time zone by its IANA name; "" is UTC.
func parseZone(text diag.Text) (*time.Location, diag.List) {
	name := strings.TrimSpace(text.Value)
	if name == "" {
		return time.UTC, nil
	}
	if len(name) > 100 {
		return nil, diag.List{about(text, diag.UnknownZone, "this is too long for a time zone", zoneHelp("", nil))}
	}
	zones := strings.Fields(zoneList)
	for _, zone := range zones {
		if zone != name {
			continue
		}
		location, err := time.LoadLocation(name)
		if err != nil {
			return nil, diag.List{about(text, diag.UnknownZone, fmt.Sprintf("time zone %q cannot be read on this machine", name),
				"repair the system's time zone data (tzdata)")}
		}
		return location, fixedOffset(text, name)
	}
	return nil, diag.List{about(text, diag.UnknownZone, fmt.Sprintf("unknown time zone %q", name), zoneHelp(name, zones))}
}

// zoneHelp guesses which zone was meant.
func zoneHelp(name string, zones []string) string {
	if near := nearestZone(name, zones); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if strings.ContainsAny(name, "+-0123456789") {
		return "a fixed offset misses daylight saving: write a city's zone, such as Europe/Amsterdam, or UTC"
	}
	return "a zone is named after a city, such as Europe/Amsterdam or America/New_York, or is UTC"
}

func nearestZone(name string, zones []string) string {
	spelled := strings.ReplaceAll(name, " ", "_")
	isName := func(zone string) bool { return strings.EqualFold(zone, spelled) }
	isCity := func(zone string) bool { return strings.EqualFold(zone[strings.LastIndexByte(zone, '/')+1:], spelled) }
	for _, fits := range []func(string) bool{isName, isCity} {
		if i := slices.IndexFunc(zones, fits); i >= 0 {
			return zones[i]
		}
	}
	// Short words are abbreviations or offsets: the nearest of those is another zone, not a correction.
	if len(name) < 5 || strings.ContainsAny(name, "+-0123456789") {
		return ""
	}
	if near := spelling.Nearest(spelled, zones); near != "" {
		return near
	}
	cities := map[string]string{}
	var names []string
	for _, zone := range zones {
		city := zone[strings.LastIndexByte(zone, '/')+1:]
		if cities[city] == "" {
			cities[city] = zone
			names = append(names, city)
		}
	}
	return cities[spelling.Nearest(spelled, names)]
}

// abbreviations are the zones of the IANA list that are named after nothing but an offset, each with the place whose
// clock is usually meant. UTC under its many names says outright that no place is.
func abbreviations() map[string]struct{ city, place string } {
	gmt := struct{ city, place string }{"Europe/London", "London is an hour ahead of it in summer"}
	return map[string]struct{ city, place string }{
		"EST": {"America/New_York", "New York is an hour ahead of it in summer"},
		"MST": {"America/Denver", "Denver is an hour ahead of it in summer"},
		"HST": {"Pacific/Honolulu", "the clock in Honolulu, which has none either, is the same"},
		"GMT": gmt, "GMT0": gmt, "GMT+0": gmt, "GMT-0": gmt, "Greenwich": gmt, "Etc/GMT": gmt, "Etc/GMT0": gmt, "Etc/GMT+0": gmt, "Etc/GMT-0": gmt, "Etc/Greenwich": gmt,
	}
}

// fixedOffset warns of a zone that is no place: it has no summer time, and those of Etc have their sign the other way round.
func fixedOffset(text diag.Text, name string) diag.List {
	if zone, ok := abbreviations()[name]; ok {
		return diag.List{about(text, diag.FixedOffset, fmt.Sprintf("%s has no summer time: %s", name, zone.place),
			fmt.Sprintf("write %s, or UTC if no place is meant", zone.city))}
	}
	offset, etc := strings.CutPrefix(name, "Etc/GMT")
	if !etc {
		return nil
	}
	hours := diag.Counted(digits(offset[1:]), "hour", "hours")
	side, turned := "behind", "-"
	if offset[0] == '-' {
		side, turned = "ahead of", "+"
	}
	return diag.List{about(text, diag.FixedOffset, fmt.Sprintf("%s is %s %s UTC, and has no summer time", name, hours, side),
		fmt.Sprintf("write a city's zone, such as Europe/Amsterdam; the other side of UTC is Etc/GMT%s%s", turned, offset[1:]))}
}
