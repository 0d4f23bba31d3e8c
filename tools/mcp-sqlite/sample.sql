-- A small shop. Every row follows from its number, so each build makes the same database.
PRAGMA journal_mode = DELETE;
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL, since TEXT NOT NULL);
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price_cents INTEGER NOT NULL CHECK (price_cents > 0));
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id), day TEXT NOT NULL, status TEXT NOT NULL);
CREATE TABLE order_items (order_id INTEGER NOT NULL REFERENCES orders (id), product_id INTEGER NOT NULL REFERENCES products (id),
                          quantity INTEGER NOT NULL, PRIMARY KEY (order_id, product_id));
CREATE INDEX orders_by_customer ON orders (customer_id);
CREATE VIEW order_totals AS
  SELECT o.id AS order_id, o.customer_id, o.day, SUM(i.quantity * p.price_cents) AS total_cents
  FROM orders o JOIN order_items i ON i.order_id = o.id JOIN products p ON p.id = i.product_id GROUP BY o.id;
INSERT INTO customers VALUES (1, 'Ada Lovelace', 'London', '2021-03-01'), (2, 'Alan Turing', 'Manchester', '2021-06-23'),
  (3, 'Grace Hopper', 'New York', '2022-01-09'), (4, 'Edsger Dijkstra', 'Rotterdam', '2022-05-11'),
  (5, 'Barbara Liskov', 'Los Angeles', '2022-11-07'), (6, 'Ken Thompson', 'New Orleans', '2023-02-04'),
  (7, 'Radia Perlman', 'Portsmouth', '2023-12-18'), (8, 'Leslie Lamport', 'New York', '2024-02-07');
INSERT INTO products VALUES (1, 'notebook', 350), (2, 'pencil', 90), (3, 'lamp', 4900), (4, 'desk', 24900), (5, 'chair', 12900),
  (6, 'clock', 3900);
INSERT INTO orders
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
  SELECT i, 1 + (i * 7) % 8, date('2024-01-01', '+' || (i * 9) || ' days'),
         CASE i % 5 WHEN 0 THEN 'open' WHEN 1 THEN 'paid' ELSE 'sent' END FROM n;
INSERT INTO order_items SELECT id, 1 + id % 6, 1 + id % 3 FROM orders;
INSERT INTO order_items SELECT id, 1 + (id + 2) % 6, 1 + id % 2 FROM orders WHERE id % 2 = 0;
