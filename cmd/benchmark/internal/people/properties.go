package people

import (
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

const day = 24 * time.Hour

// properties is what each contact has: 10 texts that are only read, 4 that are compared as a whole, and 11 dates,
// numbers, options and yes or no.
func properties() []property {
	text := func(fn func(m *maker) string) func(m *maker) record.Value {
		return func(m *maker) record.Value { return record.StringValue(fn(m)) }
	}
	return []property{
		{"createdate", func(m *maker) record.Value { return m.ago(600 * day) }},
		{"email", email},
		{"firstname", text(func(m *maker) string { return m.first })},
		{"lastname", text(func(m *maker) string { return m.last })},
		{"phone", sometimes(0.6, text(func(m *maker) string { return m.digits("+1 555 ### ####") }))},
		{"mobilephone", sometimes(0.3, text(func(m *maker) string { return m.digits("+1 555 ### ####") }))},
		{"company", sometimes(0.8, text(func(m *maker) string { return pick(m, lastNames) + " " + pick(m, companies) }))},
		{"jobtitle", sometimes(0.7, text(func(m *maker) string { return pick(m, ranks) + " " + pick(m, jobs) }))},
		{"website", sometimes(0.5, text(func(m *maker) string { return "https://www." + pick(m, domains) }))},
		{"address", sometimes(0.9, address)},
		{"city", word(0.9, cities)},
		{"state", word(0.6, states)},
		{"zip", sometimes(0.8, text(func(m *maker) string { return m.digits("#####") }))},
		{"country", word(0.95, countries)},
		{"lifecyclestage", stage},
		{"hs_lead_status", sometimes(0.4, func(m *maker) record.Value { return record.EnumValue(pick(m, leadStatuses)) })},
		{"hubspot_owner_id", sometimes(0.5, text(func(m *maker) string { return m.digits("7000##") }))},
		{"notes_last_updated", instant(activeShare, ActivityMean)},
		{"num_contacted_notes", count(0.7, 4)},
		{"num_associated_deals", count(0.3, 2)},
		{"total_revenue", count(0.2, 900)},
		{"hs_email_optout", sometimes(0.9, func(m *maker) record.Value { return record.BoolValue(m.chance(0.12)) })},
		{"hs_email_open", count(0.8, 6)},
		{"hs_email_last_open_date", instant(0.6, 150*day)},
		{"hs_analytics_num_page_views", count(0.9, 9)},
	}
}

var (
	firstNames = []string{
		"Anna", "Ben", "Carla", "David", "Emma", "Felix", "Grace", "Hugo", "Ines", "Jonas", "Katja", "Liam", "Maria", "Noah", "Olga", "Paul",
		"Quinn", "Rosa", "Sven", "Tara", "Uma", "Victor", "Wendy", "Xenia", "Yusuf", "Zoe", "Alexandra", "Bartholomew", "Christopher", "Wilhelmina",
	}
	lastNames = []string{
		"Smith", "Jansen", "Garcia", "Meyer", "Rossi", "Novak", "Silva", "Kim", "Olsen", "Dubois", "Kowalski", "Nguyen", "Brown", "Fischer", "Lopez",
		"Haddad", "Okafor", "Tanaka", "Petrov", "Larsen", "Moreau", "Costa", "Weber", "Murphy", "Vermeulen", "Papadopoulos", "Montgomery", "Featherstone",
	}
	domains = []string{
		"mail.example", "post.example", "acme.example", "contoso.example", "northwind.example", "globex.example", "initech.example",
		"umbrella-holding.example", "stark-industries.example", "wayne-enterprises.example",
	}
	companies    = []string{"Ltd", "Inc", "GmbH", "& Sons", "Group", "Logistics", "Consulting", "Holding International"}
	ranks        = []string{"Senior", "Junior", "Head of", "Chief", "Assistant", "Intern,"}
	jobs         = []string{"Sales", "Marketing", "Engineer", "Accounting", "Operations", "Procurement", "Customer Success", "Research and Development"}
	streets      = []string{"Street", "Road", "Avenue", "Lane", "Square", "Boulevard", "Crescent"}
	cities       = []string{"London", "Berlin", "Paris", "Madrid", "Utrecht", "Boston", "Porto", "Lyon", "Gent", "Graz", "Oslo", "Minneapolis", "San Francisco"}
	states       = []string{"CA", "NY", "TX", "Bavaria", "Ontario", "Utrecht", "Massachusetts", "North Rhine-Westphalia"}
	countries    = []string{"United States", "Germany", "France", "Spain", "Netherlands", "Portugal", "Canada", "Norway", "Austria", "United Kingdom"}
	leadStatuses = []string{"NEW", "OPEN", "IN_PROGRESS", "CONNECTED", "UNQUALIFIED", "BAD_TIMING"}
)
