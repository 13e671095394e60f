-- Everything that a dump may lose, change or stumble over.
set sql_mode = '';
set foreign_key_checks = 0;
set time_zone = '+05:30';

create table every_type (
    id bigint unsigned not null auto_increment primary key,
    ti tinyint, si smallint unsigned, mi mediumint, i int zerofill, bi bigint,
    de decimal(65, 30), fl float, db double, bt bit(64), bo boolean,
    ch char(10), vc varchar(200), bn binary(8), vb varbinary(300),
    tt tinytext, te text, mt mediumtext, lt longtext,
    tb tinyblob, bb blob, mb mediumblob, lb longblob,
    en enum ('a', 'b''c', 'd,e'), se set ('x', 'y', 'z'),
    da date, ti6 time(6), dt datetime(6), ts timestamp(6) null, ye year,
    js json, u uuid, ip inet6,
    po point, ge geometry, ls linestring
);
insert into every_type (id, ti, si, mi, i, bi, de, fl, db, bt, bo, ch, vc, bn, vb, tt, te, bb, lb, en, se, da, ti6, dt,
    ts, ye, js, u, ip, po, ge, ls)
values
    (1, -128, 65535, -8388608, 42, -9223372036854775808, 12345678901234567890123456789012345.123456789012345678901234567891,
     -3.40282e38, 2.2250738585072014e-308, b'1000000000000000000000000000000000000000000000000000000000000001', true,
     'x', '), (''\n\r\0\Z\\%_"`', 0x0000FF27, 0x00275C0A0D1A22, 'ü', '😀 emoji, 漢字, ‮rtl', 0x00, 0x2700275C5C00,
     'b''c', 'x,z', '0000-00-00', '-838:59:59.999999', '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07.999999', 2155,
     '{"a": [1, null, "x''y"]}', '123e4567-e89b-12d3-a456-426655440000', '::1', point(1.5, -2),
     st_geomfromtext('polygon((0 0, 1 0, 1 1, 0 0))'), linestring(point(0, 0), point(1, 1))),
    (2, 127, 0, 0, 0, 9223372036854775807, -0.000000000000000000000000000001, 0, -0.0, b'0', false, '', '', '', '', '', '',
     '', '', '', '', '2024-02-30', '00:00:00', '0000-00-00 00:00:00', '0000-00-00 00:00:00', 1901, '[]',
     '00000000-0000-0000-0000-000000000000', '::', null, null, null),
    (18446744073709551615 - 1, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
     null, null, null, null, null, null, null, null, null, null, null, null, null, null, null);
-- The next value is the last one.
alter table every_type auto_increment = 18446744073709551615;

create table tiny_counter (id tinyint auto_increment primary key, v int);
insert into tiny_counter values (127, 1);
create table zero_id (id int auto_increment primary key, v int);
set sql_mode = 'NO_AUTO_VALUE_ON_ZERO';
insert into zero_id values (0, 1), (5, 2);
set sql_mode = '';

create table generated (
    a int, b int as (a * 2) stored, c varchar(40) as (concat('<', a, '>')) virtual, d int invisible default 7,
    check (a < 1000), index (c)
);
insert into generated (a) values (1), (2), (null);

create table `we``ird ('" select; -- ü` (`sel``ect '" ),(` varchar(40) comment 'a ''comment''
on two lines', key `k``ey` (`sel``ect '" ),(`)) comment = 'delimiter ;;';
insert into `we``ird ('" select; -- ü` values ('),('), ('INSERT INTO `x` VALUES'), ('UNLOCK TABLES;'), ('\nUNLOCK TABLES;\n');

create table ranges (id int, at date, primary key (id, at)) partition by range (year(at)) (
    partition p0 values less than (2020), partition p1 values less than (2025), partition rest values less than maxvalue);
insert into ranges values (1, '2019-01-01'), (2, '2024-05-05'), (3, '2030-01-01');
create table hashed (id int primary key, v text) partition by hash (id) partitions 4;
insert into hashed select seq, repeat('v', seq) from seq_1_to_100;

-- Foreign keys in both directions, and to itself.
create table chicken (id int primary key, egg int, constraint laid foreign key (egg) references egg (id));
create table egg (id int primary key, chicken int, foreign key (chicken) references chicken (id) on delete cascade);
create table tree (id int primary key, parent int, foreign key (parent) references tree (id) on update cascade);
insert into chicken values (1, 1), (2, null);
insert into egg values (1, 2), (2, 1);
insert into tree values (1, 2), (2, 1), (3, null);

create table big_rows (id int primary key, body longblob, words longtext character set utf8mb4);
insert into big_rows values (1, repeat(0x00275C0A, 2000000), repeat('it''s \\ "quoted"\n', 200000)), (2, '', '');
create table many_rows (id int primary key, v varchar(60), n double);
insert into many_rows select seq, concat('row ', seq, '),('), seq / 7 from seq_1_to_50000;
create table latin (v varchar(20)) character set latin1 collate latin1_german2_ci;
insert into latin values ('Käse'), ('ÿ');
create table ucs (v varchar(20)) character set utf16;
insert into ucs values ('😀');
create table no_rows (id int);
create table no_transactions (id int primary key, v text, fulltext (v)) engine = MyISAM;
insert into no_transactions values (1, 'quick brown fox'), (2, null);
create table aria (id int) engine = Aria;
insert into aria values (1);
create table history (id int primary key, v int) with system versioning;
insert into history values (1, 1), (2, 2);
update history set v = v + 10;
delete from history where id = 2;
create sequence counter start with 5 increment by 3 cache 10;
do nextval(counter);

create table audit (id int auto_increment primary key, what text);
create view plain_view as select id, v from many_rows where id < 10 with check option;
create view on_view as select v, 'it''s' as `od``d` from plain_view;
delimiter ;;
create trigger noted after insert on tree for each row
begin
    -- LOCK TABLES `x` WRITE;
    insert into audit (what) values (concat('tree;', new.id));
end;;
create trigger noted_too after insert on tree for each row follows noted insert into audit (what) values ('second; ;');;
create procedure fill(in n int, out m int) comment 'it''s'
begin
    /* a comment; with
INSERT INTO `audit` VALUES
(1),
(2); */
    set m = n;
    while n > 0 do insert into audit (what) values (repeat(';', n)); set n = n - 1; end while;
end;;
create function twice(n int) returns int deterministic return n * 2;;
set sql_mode = 'ORACLE';;
create or replace package pack as function three return int; end;;
create or replace package body pack as function three return int as begin return 3; end; end;;
set sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT';;
create function "quo ted"() returns varchar(20) deterministic return 'a' || 'b';;
set sql_mode = '';;
create event tidy on schedule every 1 day starts '2026-01-01 00:00:00' on completion preserve comment 'x''y'
do begin delete from audit where id < 0; end;;
create event sleeping on schedule at '2037-01-01 00:00:00' disable do delete from audit;;
delimiter ;
