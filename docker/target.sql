-- What an administrator does once at a target: a role that may make schemas in this database, and nothing else.
create role tidegate login password 'target-example';
grant create on database analytics to tidegate;
