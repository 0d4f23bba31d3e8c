-- A small library. Every row follows from its number, so each build makes the same database.
PRAGMA journal_mode = DELETE;
CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT NOT NULL, author TEXT NOT NULL, year INTEGER NOT NULL);
CREATE TABLE members (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE loans (id INTEGER PRIMARY KEY, book_id INTEGER NOT NULL REFERENCES books (id), member_id INTEGER NOT NULL REFERENCES members (id),
                    lent TEXT NOT NULL, returned TEXT);
INSERT INTO books VALUES (1, 'Middlemarch', 'George Eliot', 1871), (2, 'Moby-Dick', 'Herman Melville', 1851),
  (3, 'Emma', 'Jane Austen', 1815), (4, 'Dubliners', 'James Joyce', 1914), (5, 'Walden', 'Henry David Thoreau', 1854);
INSERT INTO members VALUES (1, 'Nora'), (2, 'Miles'), (3, 'Ines');
INSERT INTO loans
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12)
  SELECT i, 1 + (i * 3) % 5, 1 + i % 3, date('2024-06-01', '+' || (i * 4) || ' days'),
         CASE WHEN i % 4 = 0 THEN NULL ELSE date('2024-06-01', '+' || (i * 4 + 14) || ' days') END FROM n;
