/**
 * A schema like those of sample databases and line-of-business systems: people with dated salaries, a film shop, a music library,
 * and tables that each test one unusual feature. The statements run on MariaDB 10.5 and newer and on MySQL 8 and newer.
 */
export const everydayTables: readonly string[] = [
  `create table country (
     country_code char(2) character set ascii not null primary key,
     name varchar(80) not null,
     region enum('Africa','Americas','Asia','Europe','O''ther') not null default 'Europe',
     languages set('de','en','es','fr','zh') null
   ) engine=InnoDB default character set utf8mb4`,
  `create table site (
     site_id tinyint unsigned not null auto_increment primary key,
     name varchar(60) null,
     opened year not null,
     location point not null,
     layout geometry null,
     manager_no int null
   ) engine=InnoDB default character set utf8mb4`,
  `create table employee (
     emp_no int not null primary key,
     born date not null,
     first_name varchar(14) character set latin1 not null,
     last_name varchar(16) character set latin1 null,
     gender enum('M','F','X') not null,
     hired date null,
     photo blob null,
     is_active tinyint(1) not null default 1,
     on_call bit(1) not null default b'0',
     rights bit(11) null,
     last_seen timestamp(6) null default null,
     shift time(2) null
   ) engine=InnoDB`,
  `create table salary (
     emp_no int not null,
     from_date date not null,
     to_date date not null,
     amount decimal(10,2) not null,
     primary key (emp_no, from_date)
   ) engine=InnoDB`,
  `create table job_title (
     title varchar(50) not null,
     emp_no int not null,
     since date not null,
     until date null,
     primary key (emp_no, title, since)
   ) engine=InnoDB default character set utf8mb4 collate utf8mb4_general_ci`,
  `create table film (
     film_id smallint unsigned not null auto_increment primary key,
     title varchar(128) not null,
     description text null,
     released year null,
     minutes mediumint unsigned null,
     rate decimal(4,2) not null default 4.99,
     replacement decimal(20,6) null,
     rating enum('G','PG','PG-13','R') null default 'G',
     features set('Trailers','Commentaries','Deleted Scenes','Behind the Scenes') null,
     extra json null,
     shelf enum('top','a\\\\b','x''y','two\\nlines','c,d','ü') null,
     marks set('a\\\\b','x''y','q"q','{}','ü') null,
     changed timestamp not null default current_timestamp on update current_timestamp,
     key title (title)
   ) engine=InnoDB default character set utf8mb4`,
  `create table track (
     track_id bigint unsigned not null primary key,
     album_id mediumint null,
     name varchar(200) character set utf8mb4 collate utf8mb4_bin not null,
     milliseconds int unsigned not null,
     bytes bigint unsigned null,
     price float not null,
     gain double null,
     payload longblob null
   ) engine=InnoDB`,
  `create table playlist_track (
     playlist_id mediumint not null,
     track_id bigint unsigned not null,
     primary key (playlist_id, track_id)
   ) engine=InnoDB`,
  `create table tag (
     tag varchar(40) not null primary key,
     weight double not null,
     note tinytext null
   ) engine=InnoDB default character set utf8mb4 collate utf8mb4_general_ci`,
  `create table reading (
     sensor bigint not null primary key,
     taken_at datetime(6) not null,
     value decimal(65,30) null,
     small decimal(5,5) null,
     \`raw\` binary(16) null,
     code smallint(5) unsigned zerofill null,
     level smallint not null,
     grade mediumint not null
   ) engine=InnoDB default character set utf8mb4`,
  `create table token (
     token varbinary(32) not null primary key,
     issued datetime not null,
     body mediumtext null,
     \`select\` char(5) null,
     \`Mixed "Quotes" and ünï\` varchar(20) null
   ) engine=InnoDB default character set utf8mb4`,
  `create table invoice (
     id int unsigned not null primary key,
     net decimal(10,2) not null,
     tax decimal(10,2) not null,
     gross decimal(11,2) generated always as (net + tax) stored,
     label varchar(40) generated always as (concat('invoice ', id)) virtual,
     paid_at time(6) null
   ) engine=InnoDB default character set utf8mb4`,
  `create table archived (id int not null primary key, note varchar(20) null) engine=InnoDB`,
];

/** This table is not replicated, because nothing identifies its rows. */
export const tableWithoutPrimaryKey = `create table audit_line (happened datetime not null, line varchar(100) null) engine=InnoDB`;
