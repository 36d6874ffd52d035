-- The setup that an administrator runs once at a target: a role that may create schemas in this database, and nothing else.
create role tidegate login password 'target-example';
grant create on database analytics to tidegate;
