"""The API and the dashboard's pages over HTTP; never a rule, a query or a number of their own."""
