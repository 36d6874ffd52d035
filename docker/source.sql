-- The setup that an administrator runs once at a source, and a few rows to copy. One statement per line.
create user tidegate_reader@'%' identified by 'reader-example';
grant select on `clinic`.* to tidegate_reader@'%';
create user tidegate_replicator@'%' identified by 'replicator-example';
grant replication slave, binlog monitor on *.* to tidegate_replicator@'%';
create table patient (PatNum bigint not null auto_increment primary key, LName varchar(100) not null, FName varchar(100) not null, Birthdate date not null default '0001-01-01', DateTStamp timestamp not null default current_timestamp on update current_timestamp) engine=MyISAM;
create table appointment (AptNum bigint not null auto_increment primary key, PatNum bigint not null, AptDateTime datetime not null, Confirmed tinyint unsigned not null default 0, Note text, key (PatNum)) engine=MyISAM;
insert into patient (LName, FName, Birthdate) values ('Example', 'Ada', '1980-02-29'), ('Example', 'Bo', '1975-07-01'), ('Sample', 'Cy', '2012-12-12');
insert into appointment (PatNum, AptDateTime, Note) values (1, '2026-01-05 09:00:00', 'check-up'), (2, '2026-01-05 09:30:00', null), (3, '2026-01-05 10:00:00', 'first visit');
