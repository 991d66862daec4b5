"""The database, all of it: mappings, queries named by intent, migrations. The only folder that builds SQL."""
