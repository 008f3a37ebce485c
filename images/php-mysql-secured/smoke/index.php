<?php
// What the smoke test asks PHP: one line for each thing that works. A failure is an exception, so status 500.
declare(strict_types=1);
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);

const HOST = '127.0.0.1';
const DATABASE = 'smoke';
const AUTHORITY = '/run/secrets/authority.crt';
const STRANGER = '/run/secrets/stranger.crt';

function password(): string
{
    return file_get_contents('/run/secrets/password');
}

function with_pdo(?string $authority): PDO
{
    $options = [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_TIMEOUT => 5];
    if ($authority !== null) {
        $options += [PDO::MYSQL_ATTR_SSL_CA => $authority, PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT => true];
    }
    return new PDO('mysql:host=' . HOST . ';dbname=' . DATABASE . ';charset=utf8mb4', 'smoke', password(), $options);
}

function with_mysqli(string $authority): mysqli
{
    $link = mysqli_init();
    $link->options(MYSQLI_OPT_CONNECT_TIMEOUT, 5);
    $link->ssl_set(null, null, $authority, null, null);
    $link->real_connect(HOST, 'smoke', password(), DATABASE, 3306, null, MYSQLI_CLIENT_SSL);
    return $link;
}

function refused(callable $connect): string
{
    try {
        @$connect();
    } catch (PDOException | mysqli_sql_exception $error) {
        return 'refused';
    }
    throw new RuntimeException('was let in');
}

function database(): array
{
    $pdo = with_pdo(AUTHORITY);
    $pdo->exec('CREATE TABLE IF NOT EXISTS words (word VARCHAR(40))');
    $pdo->prepare('INSERT INTO words VALUES (?)')->execute(['Grüße 🐘']);
    $link = with_mysqli(AUTHORITY);
    $link->set_charset('utf8mb4');
    $tls = 'SHOW STATUS LIKE \'Ssl_version\'';
    return [
        'pdo' => $pdo->query($tls)->fetch(PDO::FETCH_NUM)[1],
        'mysqli' => $link->query($tls)->fetch_row()[1],
        'text' => $link->query('SELECT word FROM words LIMIT 1')->fetch_row()[0],
        'stranger' => refused(fn () => with_pdo(STRANGER)) . ' ' . refused(fn () => with_mysqli(STRANGER)),
        'plaintext' => refused(fn () => with_pdo(null)),
    ];
}

function language(): array
{
    return [
        'version' => PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION,
        'sapi' => PHP_SAPI,
        'opcache' => opcache_get_status(false)['opcache_enabled'] ? 'on' : 'off',
        'mbstring' => mb_strtoupper('grüße'),
        'argon2id' => password_verify('x', password_hash('x', PASSWORD_ARGON2ID)) ? 'right' : 'wrong',
        'exec' => function_exists('exec') ? 'there' : 'off',
        'docroot' => @file_put_contents('/usr/smoke', 'x') === false ? 'read-only' : 'writable',
        'temporary' => file_put_contents('/tmp/smoke', 'x') === 1 ? 'writable' : 'read-only',
    ];
}

foreach (($_GET['ask'] ?? '') === 'database' ? database() : language() as $name => $value) {
    echo "$name: $value\n";
}
