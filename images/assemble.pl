#!/usr/bin/perl
# The second builder: the files of an image from its image.toml and packages.lock, with Debian's own tools.
#
#     perl assemble.pl IMAGE ARCHITECTURE OBJECTS OUT
#
# IMAGE      folder with image.toml, packages.lock and files/
# OBJECTS    folder with the compiled helpers, by their path in the image
# OUT        folder that becomes the image's root
#
# It shares nothing with `hullmark build` but its input: dpkg-deb unpacks, sha256sum checks, apt-helper fetches.
# What both give must be equal to the last byte, or one of them is wrong. It needs what Debian's smallest image
# has (perl-base, dpkg, apt, coreutils), and fetches only what is not in /debs/HASH.deb already. Mirrors are those
# of the machine's apt, or MIRROR and SECURITY_MIRROR.
use strict;
use warnings;
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);

my ($image, $architecture, $objects, $out) = @ARGV;
die "usage: assemble.pl IMAGE ARCHITECTURE OBJECTS OUT\n" unless defined $out;
my %triplets = (amd64 => 'x86_64-linux-gnu', arm64 => 'aarch64-linux-gnu');
my $triplet = $triplets{$architecture} or die "unknown architecture $architecture\n";
my $documentation = qr{^usr/share/(doc|doc-base|man|locale|lintian|bug|info)/};
umask 022;

my $definition = parse_toml(slurp("$image/image.toml"));
my $lock = parse_lock(slurp("$image/packages.lock"));

my (%owner, %md5, %control);
skeleton();
place_package($_) for sort { $a->{name} cmp $b->{name} } @{ $lock->{packages} };
join_files();
remove_files();
record_packages();
place_directories();
place_files();
place_helpers();

# The image

sub skeleton {
    make_path(map {"$out/$_"} qw(dev etc proc run sys usr/bin usr/lib usr/lib64 usr/sbin var/lib/dpkg/status.d tmp));
    chmod 01777, "$out/tmp" or die;
    symlink "usr/$_", "$out/$_" or die for qw(bin lib lib64 sbin);
}

sub place_package {
    my ($package) = @_;
    my $name = $package->{name};
    my $deb = fetch($package);
    my $folder = tempdir(CLEANUP => 1);
    run('dpkg-deb', '--extract', $deb, $folder);
    my @patterns = map { pattern($_) } @{ $definition->{packages}{$name}{keep} || [] };
    for my $found (files_below($folder)) {
        my $path = merged($found);
        next unless is_kept($path, $name, \@patterns);
        die "$path is in $name and in $owner{$path}\n" if $owner{$path};
        put("$folder/$found", $path);
        $owner{$path} = $name;
    }
    $control{$name} = output('dpkg-deb', '--field', $deb);
    my $sums = output('sh', '-c', 'dpkg-deb --ctrl-tarfile "$1" | tar -xO ./md5sums', 'sh', $deb);
    for (split /\n/, $sums) {
        my ($sum, $path) = split ' ', $_, 2;
        $md5{$name}{ merged($path) } = $sum;
    }
    remove_tree($folder);
}

sub is_kept {
    my ($path, $name, $patterns) = @_;
    return 1 if $path eq "usr/share/doc/$name/copyright" || $path eq "usr/share/doc/$name";
    return 0 if $path =~ $documentation;
    return scalar grep { $path =~ $_ } @$patterns;
}

sub join_files {
    my $joins = $definition->{join} || {};
    for my $path (sort keys %$joins) {
        my @parts = sort(matching($joins->{$path}{parts}));
        my $text = '';
        for my $part (@parts) {
            $text .= slurp("$out/$part");
            $text .= "\n" unless $text =~ /\n\z/;
            take($part);
        }
        write_file($path, $text, 0644);
    }
}

sub remove_files {
    for my $removal (@{ $definition->{remove} || [] }) {
        take($_) for map { matching($_) } @{ $removal->{paths} };
    }
}

sub take {
    my ($path) = @_;
    unlink "$out/$path" or die "cannot remove $path: $!\n";
}

# One file a package, as scanners read them in images without a package manager.
sub record_packages {
    my $folder = 'var/lib/dpkg/status.d';
    for my $name (sort keys %control) {
        my ($first, $rest) = split /\n/, $control{$name}, 2;
        write_file("$folder/$name", "$first\nStatus: install ok installed\n$rest", 0644);
        my @shipped = sort grep { $owner{$_} eq $name && e_or_link("$out/$_") } keys %owner;
        my @known = grep { $md5{$name}{$_} } @shipped;
        write_file("$folder/$name.md5sums", join('', map {"$md5{$name}{$_}  $_\n"} @known), 0644);
    }
}

sub place_directories {
    my $directories = $definition->{directories} || {};
    for my $path (sort keys %$directories) {
        make_path("$out/$path");
        set_owner($path, $directories->{$path}, '0755');
    }
}

sub place_files {
    my $files = $definition->{files} || {};
    for my $path (sort keys %$files) {
        write_file($path, slurp("$image/files/$files->{$path}{source}"), 0644);
        set_owner($path, $files->{$path}, '0644');
    }
}

sub place_helpers {
    my $helpers = $definition->{helpers} || {};
    for my $helper (@{ $lock->{helpers} }) {
        my $path = $helper->{path};
        check_hash("$objects/$path", $helper->{hash});
        my $kind = ($helpers->{$path} || die "$path is locked but not declared\n")->{kind} || 'program';
        write_file($path, slurp("$objects/$path"), $kind eq 'library' ? 0644 : 0755);
    }
}

sub set_owner {
    my ($path, $declared, $mode) = @_;
    my ($uid, $gid) = split /:/, $declared->{owner} || '0:0';
    chown $uid, $gid, "$out/$path" or die "cannot own $path: $!\n";
    chmod oct($declared->{mode} || $mode), "$out/$path" or die;
}

# Packages

sub fetch {
    my ($package) = @_;
    my ($hash) = $package->{hash} =~ /^sha256:([0-9a-f]{64})$/ or die "no hash of $package->{name}\n";
    my $deb = "/debs/$hash.deb";
    if (!-e $deb) {
        $deb = "/var/tmp/$hash.deb";
        my $url = mirror($lock->{archives}{ $package->{suite} }) . "/$package->{path}";
        run('/usr/lib/apt/apt-helper', '-o', 'Acquire::Retries=2', 'download-file', $url, $deb, "SHA256:$hash");
    }
    check_hash($deb, $package->{hash});
    return $deb;
}

# The address of an archive: a build argument, or the first one of the machine's apt that ends with its name.
sub mirror {
    my ($archive) = @_;
    my $given = $archive eq 'debian' ? $ENV{MIRROR} : $ENV{SECURITY_MIRROR};
    return $given if $given;
    for (split /\n/, output('apt-get', 'indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages')) {
        s{/+$}{};
        return $_ if m{/\Q$archive\E$};
    }
    die "no mirror of $archive is known; give MIRROR and SECURITY_MIRROR\n";
}

sub check_hash {
    my ($file, $expected) = @_;
    my ($found) = split ' ', output('sha256sum', $file);
    die "$file has sha256:$found, the lock names $expected\n" unless "sha256:$found" eq $expected;
}

# Files

sub put {
    my ($from, $path) = @_;
    my @stat = lstat $from or die "cannot read $from: $!\n";
    if (-l $from) {
        make_path(dirname("$out/$path"));
        symlink readlink($from), "$out/$path" or die "cannot link $path: $!\n";
        return;
    }
    write_file($path, slurp($from), 0600);
    chown @stat[4, 5], "$out/$path" or die "cannot own $path: $!\n";
    chmod $stat[2] & 01777, "$out/$path" or die;    # never setuid or setgid
}

sub write_file {
    my ($path, $text, $mode) = @_;
    die "$owner{$path} ships $path\n" if $owner{$path} && e_or_link("$out/$path");
    make_path(dirname("$out/$path"));
    open my $file, '>:raw', "$out/$path" or die "cannot write $path: $!\n";
    print {$file} $text;
    close $file or die "cannot write $path: $!\n";
    chmod $mode, "$out/$path" or die;
}

sub slurp {
    my ($path) = @_;
    open my $file, '<:raw', $path or die "cannot read $path: $!\n";
    local $/;
    return scalar <$file>;
}

sub files_below {
    my ($folder, $prefix) = (@_, '');
    opendir my $handle, "$folder/$prefix" or die "cannot read $folder/$prefix: $!\n";
    my @found;
    for my $name (sort grep { $_ ne '.' && $_ ne '..' } readdir $handle) {
        my $path = "$prefix$name";
        push @found, -d "$folder/$path" && !-l "$folder/$path" ? files_below($folder, "$path/") : $path;
    }
    return @found;
}

sub matching {
    my ($text) = @_;
    my $pattern = pattern($text);
    my @found = grep { $_ =~ $pattern && e_or_link("$out/$_") } keys %owner;
    die "$text matches no file\n" unless @found;
    return @found;
}

# * and ? stop at /, ** does not.
sub pattern {
    my ($text) = @_;
    $text =~ s/\{triplet\}/$triplet/g;
    my %meaning = ('**' => '.*', '*' => '[^/]*', '?' => '[^/]');
    my $regex = join '', map { $meaning{$_} || quotemeta } $text =~ /\*\*|\*|\?|[^*?]+/g;
    return qr/^$regex\z/;
}

# /bin, /lib, /lib64 and /sbin are links to their namesakes in /usr.
sub merged {
    my ($path) = @_;
    return $path =~ m{^(bin|lib|lib64|sbin)/} ? "usr/$path" : $path;
}

sub e_or_link { return -e $_[0] || -l $_[0] }

sub run {
    system(@_) == 0 or die "@_ failed\n";
}

sub output {
    open my $pipe, '-|:raw', @_ or die "cannot run $_[0]: $!\n";
    local $/;
    my $text = <$pipe>;
    close $pipe or die "@_ failed\n";
    return $text;
}

# The two files

sub parse_lock {
    my ($text) = @_;
    my %lock = (archives => {}, packages => [], helpers => []);
    for (split /\n/, $text) {
        my ($kind, @words) = split / /;
        if ($kind eq 'index') {
            $lock{archives}{ $words[1] } = $words[0];
        }
        elsif ($kind eq 'package' && $words[0] eq $architecture) {
            my %package;
            @package{qw(name version hash size suite path)} = @words[1 .. 6];
            push @{ $lock{packages} }, \%package;
        }
        elsif ($kind eq 'helper' && $words[0] eq $architecture) {
            push @{ $lock{helpers} }, { path => $words[1], hash => $words[2] };
        }
    }
    die "nothing is locked for $architecture\n" unless @{ $lock{packages} };
    return \%lock;
}

# As much of TOML as an image.toml needs; numbers and truth stay words.
sub parse_toml {
    my ($text) = @_;
    my (%root, @tokens);
    my $string = qr/"""(?:[^\\]|\\.)*?"""|"(?:[^"\\\n]|\\.)*"|'''.*?'''|'[^'\n]*'/s;
    while ($text =~ /\G(?:[ \t]+|#[^\n]*|($string|[A-Za-z0-9_-]+|\[\[|\]\]|[\[\]{}=,.]|\n))/gc) {
        push @tokens, $1 if defined $1;
    }
    die "image.toml: cannot read at byte " . (pos($text) || 0) . "\n" if (pos($text) || 0) < length $text;
    my $table = \%root;
    while (@tokens) {
        my $token = shift @tokens;
        next if $token eq "\n";
        if ($token eq '[' || $token eq '[[') {
            $table = step(\%root, $token eq '[[', path(\@tokens));
            shift @tokens;    # the closing bracket
            next;
        }
        unshift @tokens, $token;
        assign($table, \@tokens);
    }
    return \%root;
}

sub path {
    my ($tokens) = @_;
    my @names = (text(shift @$tokens));
    while ($tokens->[0] eq '.') {
        shift @$tokens;
        push @names, text(shift @$tokens);
    }
    return @names;
}

sub step {
    my ($table, $is_list, @names) = @_;
    my $last = pop @names;
    $table = $table->{$_} ||= {} for @names;
    return $table->{$last} ||= {} unless $is_list;
    push @{ $table->{$last} }, {};
    return $table->{$last}[-1];
}

sub assign {
    my ($table, $tokens) = @_;
    my @names = path($tokens);
    my $last = pop @names;
    $table = $table->{$_} ||= {} for @names;
    shift @$tokens;           # the equals sign
    $table->{$last} = value($tokens);
}

sub value {
    my ($tokens) = @_;
    my $token = shift @$tokens;
    return text($token) unless $token eq '[' || $token eq '[[' || $token eq '{';
    my ($end, @list, %table) = $token eq '{' ? '}' : ']';
    unshift @$tokens, '[' if $token eq '[[';
    while ($tokens->[0] ne $end) {
        if ($tokens->[0] eq ',' || $tokens->[0] eq "\n") { shift @$tokens }
        elsif ($end eq '}') { assign(\%table, $tokens) }
        else                { push @list, value($tokens) }
    }
    shift @$tokens;
    return $end eq '}' ? \%table : \@list;
}

sub text {
    my ($token) = @_;
    return $1 if $token =~ /^'''\n?(.*)'''$/s || $token =~ /^'(.*)'$/;
    return $token unless $token =~ s/^"""\n?(.*)"""$/$1/s || $token =~ s/^"(.*)"$/$1/;
    my %meaning = (n => "\n", t => "\t");
    $token =~ s/\\(.)/$meaning{$1} || $1/ge;
    return $token;
}
