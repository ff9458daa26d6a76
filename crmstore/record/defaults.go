package record

// Numbers of the properties that the store itself reads or writes. The dates have the same number in every
// object type. Numbers are in the bytes of records: they never change and are never used again.
const (
	PropertyCreated  = 16 // set when a record is made; an import may set it
	PropertyModified = 17 // set by every change
	PropertyEmail    = 18 // of contacts: unique among the live ones
)

// UsedByStore reports whether the store itself reads or writes the property.
func UsedByStore(o ObjectType, number int) bool {
	return number == PropertyCreated || number == PropertyModified || o == Contact && number == PropertyEmail
}

// DefaultProperties are the properties that a new account has for an object type, under HubSpot's internal
// names and labels. A property's number is its place, so new ones go to the end. An object type that an account
// defines has the two dates that the store keeps.
func DefaultProperties(o ObjectType) []Property {
	var list []Property
	switch o {
	case Contact:
		list = contactProperties()
	case Company:
		list = companyProperties()
	case Deal:
		list = dealProperties()
	case Ticket:
		list = ticketProperties()
	case Call:
		list = callProperties()
	default:
		list = []Property{created(), storeSets(instant("hs_lastmodifieddate", "Last Modified Date"))}
	}
	for i := range list {
		list[i].Number = FirstProperty + i
	}
	return list
}

func text(name, label string) Property { return Property{Name: name, Label: label, Type: String} }

func number(name, label string) Property { return Property{Name: name, Label: label, Type: Number} }

func instant(name, label string) Property { return Property{Name: name, Label: label, Type: DateTime} }
func day(name, label string) Property     { return Property{Name: name, Label: label, Type: Date} }
func yesNo(name, label string) Property   { return Property{Name: name, Label: label, Type: Bool} }

// exact is a text that conditions compare as a whole.
func exact(name, label string) Property {
	return Property{Name: name, Label: label, Type: String, Exact: true}
}

// options takes pairs of internal value and label.
func options(name, label string, pairs ...string) Property {
	p := Property{Name: name, Label: label, Type: Enumeration}
	for i := 0; i+1 < len(pairs); i += 2 {
		p.Options = append(p.Options, Option{Number: i/2 + 1, Value: pairs[i], Label: pairs[i+1]})
	}
	return p
}

// storeSets marks a property as written by the store alone.
func storeSets(p Property) Property {
	p.ReadOnly = true
	return p
}

// emails marks a text as one of e-mail addresses.
func emails(p Property) Property {
	p.Email = true
	return p
}

// noted adds a sentence for people.
func noted(p Property, note string) Property {
	p.Note = note
	return p
}

func created() Property {
	return noted(instant("createdate", "Create Date"), "Set when the record is made; an import may set it.")
}

func contactProperties() []Property {
	return []Property{
		created(),
		storeSets(instant("lastmodifieddate", "Last Modified Date")),
		noted(emails(exact("email", "Email")), "Unique among contacts that are not in the bin."),
		text("firstname", "First Name"),
		text("lastname", "Last Name"),
		text("phone", "Phone Number"),
		text("mobilephone", "Mobile Phone Number"),
		text("company", "Company Name"),
		text("jobtitle", "Job Title"),
		text("website", "Website URL"),
		text("address", "Street Address"),
		exact("city", "City"),
		exact("state", "State/Region"),
		text("zip", "Postal Code"),
		exact("country", "Country/Region"),
		lifecycleStage(),
		options("hs_lead_status", "Lead Status", "NEW", "New", "OPEN", "Open", "IN_PROGRESS", "In Progress", "OPEN_DEAL", "Open Deal",
			"UNQUALIFIED", "Unqualified", "ATTEMPTED_TO_CONTACT", "Attempted to Contact", "CONNECTED", "Connected", "BAD_TIMING", "Bad Timing"),
		exact("hubspot_owner_id", "Contact owner"),
		instant("notes_last_updated", "Last Activity Date"),
		instant("notes_last_contacted", "Last Contacted"),
		instant("notes_next_activity_date", "Next Activity Date"),
		instant("hs_last_sales_activity_timestamp", "Last Engagement Date"),
		number("num_notes", "Number of Sales Activities"),
		number("num_contacted_notes", "Number of times contacted"),
		number("num_associated_deals", "Number of Associated Deals"),
		number("recent_deal_amount", "Recent Deal Amount"),
		instant("recent_deal_close_date", "Recent Deal Close Date"),
		number("total_revenue", "Total Revenue"),
		instant("first_deal_created_date", "First Deal Created Date"),
		instant("closedate", "Close Date"),
		yesNo("hs_email_optout", "Unsubscribed from all email"),
		exact("hs_email_hard_bounce_reason", "Email hard bounce reason"),
		number("hs_email_bounce", "Marketing emails bounced"),
		number("hs_email_delivered", "Marketing emails delivered"),
		number("hs_email_open", "Marketing emails opened"),
		number("hs_email_click", "Marketing emails clicked"),
		instant("hs_email_last_open_date", "Last marketing email open date"),
		instant("hs_email_last_click_date", "Last marketing email click date"),
		instant("hs_email_last_send_date", "Last marketing email send date"),
		instant("hs_email_first_send_date", "First marketing email send date"),
		yesNo("hs_email_quarantined", "Email address quarantined"),
		instant("hs_analytics_last_timestamp", "Time Last Seen"),
		instant("hs_analytics_last_visit_timestamp", "Time of Last Session"),
		number("hs_analytics_num_page_views", "Number of Pageviews"),
		trafficSource(),
		options("hs_marketable_status", "Marketing contact status", "true", "Marketing contact", "false", "Non-marketing contact"),
		exact("hs_language", "Preferred language"),
		number("associatedcompanyid", "Primary Associated Company ID"),
		hardBounceReason(),
		yesNo("hs_email_bad_address", "Invalid email address"),
		number("hs_analytics_num_visits", "Number of Sessions"),
		number("num_conversion_events", "Number of Form Submissions"),
		instant("recent_conversion_date", "Recent Conversion Date"),
		day("hs_job_change_detected_date", "Job change detected date"),
	}
}

// hardBounceReason shares its label with the older property of plain text, as in HubSpot.
func hardBounceReason() Property {
	return options("hs_email_hard_bounce_reason_enum", "Email hard bounce reason", "UNKNOWN_USER", "Unknown user", "MAILBOX_FULL", "Mailbox full",
		"CONTENT", "Content", "SPAM", "Spam", "POLICY", "Policy", "OTHER", "Other", "HUBSPOT_GLOBAL_BOUNCE", "Global bounce",
		"MAILBOX_MISCONFIGURATION", "Mailbox misconfiguration", "ISP_MISCONFIGURATION", "ISP misconfiguration",
		"SENDING_DOMAIN_MISCONFIGURATION", "Sending domain misconfiguration", "DOMAIN_REPUTATION", "Domain reputation",
		"IP_REPUTATION", "IP reputation", "DMARC", "DMARC", "DNS_FAILURE", "DNS failure", "FILTERED", "Filtered", "GREYLISTING", "Greylisting",
		"TEMPORARY_PROBLEM", "Temporary problem", "THROTTLED", "Throttled", "TIMEOUT", "Timeout", "UNCATEGORIZED", "Uncategorized")
}

func lifecycleStage() Property {
	return options("lifecyclestage", "Lifecycle Stage", "subscriber", "Subscriber", "lead", "Lead",
		"marketingqualifiedlead", "Marketing Qualified Lead", "salesqualifiedlead", "Sales Qualified Lead",
		"opportunity", "Opportunity", "customer", "Customer", "evangelist", "Evangelist", "other", "Other")
}

func trafficSource() Property {
	return options("hs_analytics_source", "Original Traffic Source", "ORGANIC_SEARCH", "Organic Search", "PAID_SEARCH", "Paid Search",
		"EMAIL_MARKETING", "Email Marketing", "SOCIAL_MEDIA", "Organic Social", "REFERRALS", "Referrals",
		"OTHER_CAMPAIGNS", "Other Campaigns", "DIRECT_TRAFFIC", "Direct Traffic", "OFFLINE", "Offline Sources", "PAID_SOCIAL", "Paid Social",
		"AI_REFERRALS", "AI Referrals")
}

func companyProperties() []Property {
	return []Property{
		created(),
		storeSets(instant("hs_lastmodifieddate", "Last Modified Date")),
		exact("domain", "Company Domain Name"),
		text("name", "Company name"),
		text("phone", "Phone Number"),
		exact("city", "City"),
		exact("state", "State/Region"),
		exact("country", "Country/Region"),
		exact("industry", "Industry"),
		number("numberofemployees", "Number of Employees"),
		number("annualrevenue", "Annual Revenue"),
		lifecycleStage(),
		exact("hubspot_owner_id", "Company owner"),
		instant("notes_last_updated", "Last Activity Date"),
		instant("notes_last_contacted", "Last Contacted"),
		number("num_associated_contacts", "Number of Associated Contacts"),
		number("num_associated_deals", "Number of Associated Deals"),
	}
}

func dealProperties() []Property {
	return []Property{
		created(),
		storeSets(instant("hs_lastmodifieddate", "Last Modified Date")),
		text("dealname", "Deal Name"),
		number("amount", "Amount"),
		instant("closedate", "Close Date"),
		exact("dealstage", "Deal Stage"),
		exact("pipeline", "Pipeline"),
		exact("dealtype", "Deal Type"),
		exact("hubspot_owner_id", "Deal owner"),
		instant("notes_last_updated", "Last Activity Date"),
		yesNo("hs_is_closed", "Is Deal Closed?"),
		yesNo("hs_is_closed_won", "Is Closed Won"),
	}
}

func ticketProperties() []Property {
	return []Property{
		created(),
		storeSets(instant("hs_lastmodifieddate", "Last Modified Date")),
		text("subject", "Ticket name"),
		text("content", "Ticket description"),
		exact("hs_pipeline", "Pipeline"),
		exact("hs_pipeline_stage", "Ticket status"),
		options("hs_ticket_priority", "Priority", "LOW", "Low", "MEDIUM", "Medium", "HIGH", "High", "URGENT", "Urgent"),
		instant("closed_date", "Close date"),
		exact("hubspot_owner_id", "Ticket owner"),
		instant("notes_last_updated", "Last Activity Date"),
	}
}

func callProperties() []Property {
	return []Property{
		created(),
		storeSets(instant("hs_lastmodifieddate", "Last Modified Date")),
		text("hs_call_title", "Call Title"),
		text("hs_call_body", "Call notes"),
		instant("hs_timestamp", "Activity date"),
		options("hs_call_direction", "Call direction", "INBOUND", "Inbound", "OUTBOUND", "Outbound"),
		number("hs_call_duration", "Call duration"),
		exact("hs_call_status", "Call status"),
		exact("hubspot_owner_id", "Activity assigned to"),
	}
}
