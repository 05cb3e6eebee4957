"""The report: pure functions from a plan and judged records to a page, Markdown, JSON, JUnit and a terminal table."""
