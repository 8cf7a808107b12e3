//! Names, places, companies and topics to choose from. People of the world; organisations that do not exist.

/// Names of one part of the world. Where a name is not plain Latin, its form in an address stands behind `=`.
pub(super) struct Culture {
    pub(super) women: &'static [&'static str],
    pub(super) men: &'static [&'static str],
    pub(super) families: &'static [&'static str],
}

/// The first ones more often.
pub(super) const CULTURES: &[Culture] = &[
    Culture {
        women: &["Emma", "Olivia", "Grace", "Hannah", "Abigail", "Chloe", "Madison", "Zoe", "Ruth", "Naomi", "Claire", "Audrey", "Denise", "Imani"],
        men: &["James", "Michael", "Daniel", "Ethan", "Marcus", "Owen", "Caleb", "Trevor", "Isaac", "Wesley", "Darnell", "Graham", "Neil", "Peter"],
        families: &[
            "Smith",
            "Johnson",
            "Williams",
            "Brown",
            "Miller",
            "Davis",
            "Wilson",
            "Anderson",
            "Taylor",
            "Moore",
            "Jackson",
            "Walker",
            "Hughes",
            "O'Connor=oconnor",
            "Washington",
            "Bennett",
            "Foster",
            "Sullivan",
        ],
    },
    Culture {
        women: &["María=maria", "Lucía=lucia", "Sofía=sofia", "Valentina", "Camila", "Ximena", "Inés=ines", "Beatriz", "Rocío=rocio", "Paola"],
        men: &["José=jose", "Andrés=andres", "Mateo", "Diego", "Joaquín=joaquin", "Raúl=raul", "Óscar=oscar", "Hernán=hernan", "Iván=ivan", "Pablo"],
        families: &[
            "García=garcia",
            "Rodríguez=rodriguez",
            "Martínez=martinez",
            "Hernández=hernandez",
            "López=lopez",
            "González=gonzalez",
            "Núñez=nunez",
            "Peña=pena",
            "Ibáñez=ibanez",
            "Castillo",
            "Vargas",
            "Morales",
        ],
    },
    Culture {
        women: &["Priya", "Ananya", "Aishwarya", "Kavya", "Meera", "Nisha", "Lakshmi", "Divya", "Shreya", "Fatima"],
        men: &["Arjun", "Rahul", "Vikram", "Sanjay", "Karthik", "Rohan", "Imran", "Aditya", "Suresh", "Harpreet"],
        families: &["Patel", "Sharma", "Singh", "Gupta", "Iyer", "Reddy", "Nair", "Khan", "Banerjee", "Desai", "Menon", "Chowdhury"],
    },
    Culture {
        women: &["芳=fang", "秀英=xiuying", "敏=min", "静=jing", "丽=li", "Mei-Ling=meiling", "Xiaoyan", "婷=ting"],
        men: &["伟=wei", "强=qiang", "磊=lei", "军=jun", "洋=yang", "Jian", "Haoran", "志明=zhiming"],
        families: &["王=wang", "李=li", "张=zhang", "刘=liu", "陈=chen", "杨=yang", "Huang", "Zhao", "Lin", "Wu"],
    },
    Culture {
        women: &["Anna", "Lena", "Jutta", "Sabine", "Heike", "Käthe=kaethe", "Zoë=zoe", "Mareike", "Ulrike", "Greta"],
        men: &["Lukas", "Jürgen=juergen", "Björn=bjoern", "Matthias", "Günther=guenther", "Florian", "Jörg=joerg", "Thomas", "Uwe", "Sören=soeren"],
        families: &[
            "Müller=mueller",
            "Schmidt",
            "Schröder=schroeder",
            "Fischer",
            "Weiß=weiss",
            "Köhler=koehler",
            "Bauer",
            "Großmann=grossmann",
            "Krüger=krueger",
            "Vogel",
            "Jäger=jaeger",
            "Lang",
        ],
    },
    Culture {
        women: &["Camille", "Élodie=elodie", "Chloé=chloe", "Amélie=amelie", "Océane=oceane", "Manon", "Hélène=helene", "Aïcha=aicha"],
        men: &["Théo=theo", "Lucas", "François=francois", "Loïc=loic", "Rémi=remi", "Gaël=gael", "Étienne=etienne", "Moussa"],
        families: &["Martin", "Lefèvre=lefevre", "Dubois", "Moreau", "Girard", "Bérenger=berenger", "Gonçalves=goncalves", "Diallo", "Roux", "D'Amico=damico"],
    },
    Culture {
        women: &["Ngozi", "Amara", "Adaeze", "Folasade", "Wanjiru", "Akosua", "Zanele", "Thandiwe"],
        men: &["Chinedu", "Olúwaseun=oluwaseun", "Kwame", "Kofi", "Babatunde", "Kamau", "Sipho", "Emeka"],
        families: &["Okafor", "Adébáyò=adebayo", "Mensah", "Nkosi", "Mwangi", "Eze", "Owusu", "Dlamini", "Balogun", "Abebe"],
    },
    Culture {
        women: &["Zofia", "Małgorzata=malgorzata", "Agnieszka", "Tereza", "Žofie=zofie", "Ilona", "Eliška=eliska", "Jana"],
        men: &["Paweł=pawel", "Łukasz=lukasz", "Wojciech", "Jiří=jiri", "Ondřej=ondrej", "Tomáš=tomas", "Zoltán=zoltan", "Marek"],
        families: &["Nowak", "Wiśniewski=wisniewski", "Wójcik=wojcik", "Novák=novak", "Dvořák=dvorak", "Szabó=szabo", "Černý=cerny", "Zieliński=zielinski"],
    },
    Culture {
        women: &["さくら=sakura", "葵=aoi", "陽菜=hina", "Yuki", "Keiko", "美咲=misaki"],
        men: &["翔太=shota", "健=ken", "大輔=daisuke", "Haruto", "Kenji", "拓也=takuya"],
        families: &["佐藤=sato", "鈴木=suzuki", "高橋=takahashi", "田中=tanaka", "Watanabe", "Itō=ito", "山本=yamamoto", "Nakamura"],
    },
    Culture {
        women: &["Ольга=olga", "Наталія=nataliia", "Ірина=iryna", "Anastasia", "Олена=olena", "Katya"],
        men: &["Олександр=oleksandr", "Андрій=andrii", "Dmytro", "Тарас=taras", "Сергій=serhii", "Mykola"],
        families: &["Шевченко=shevchenko", "Коваленко=kovalenko", "Бондар=bondar", "Ivanova", "Petrenko", "Ткачук=tkachuk", "Мельник=melnyk"],
    },
    Culture {
        women: &["ليلى=layla", "فاطمة=fatima", "Noor", "Yasmin", "Şebnem=sebnem", "Zeynep", "Ayşe=ayse", "Dalia"],
        men: &["محمد=mohammed", "يوسف=yusuf", "Omar", "Karim", "Çağlar=caglar", "Emre", "İbrahim=ibrahim", "Tarık=tarik"],
        families: &["Haddad", "العلي=alali", "Yılmaz=yilmaz", "Öztürk=ozturk", "Khoury", "Mansour", "حسن=hassan", "Demir"],
    },
    Culture {
        women: &["Linh", "Hương=huong", "Thảo=thao", "Siti", "Dewi", "Maricel"],
        men: &["Minh", "Đức=duc", "Tuấn=tuan", "Budi", "Rizal", "Agus"],
        families: &["Nguyễn=nguyen", "Trần=tran", "Phạm=pham", "Santos", "Reyes", "Wijaya", "Lê=le", "Bautista"],
    },
];

pub(super) struct Place {
    pub(super) city: &'static str,
    pub(super) state: &'static str,
    /// IANA name.
    pub(super) zone: &'static str,
    /// Begins the telephone numbers; all are kept for fiction.
    pub(super) phone: &'static str,
    /// Many who live here make software.
    pub(super) technical: bool,
}

const fn us(city: &'static str, state: &'static str, zone: &'static str, phone: &'static str, technical: bool) -> Place {
    Place { city, state, zone, phone, technical }
}

const fn abroad(city: &'static str, state: &'static str, zone: &'static str, technical: bool) -> Place {
    Place { city, state, zone, phone: "+44 7700 900", technical }
}

/// The first ones more often.
pub(super) const PLACES: &[Place] = &[
    us("Austin", "TX", "America/Chicago", "+1 512 555 01", true),
    us("San Francisco", "CA", "America/Los_Angeles", "+1 415 555 01", true),
    us("New York", "NY", "America/New_York", "+1 212 555 01", false),
    us("Seattle", "WA", "America/Los_Angeles", "+1 206 555 01", true),
    us("Chicago", "IL", "America/Chicago", "+1 312 555 01", false),
    us("Boston", "MA", "America/New_York", "+1 617 555 01", true),
    us("Los Angeles", "CA", "America/Los_Angeles", "+1 213 555 01", false),
    us("Denver", "CO", "America/Denver", "+1 303 555 01", false),
    us("Houston", "TX", "America/Chicago", "+1 713 555 01", false),
    abroad("Berlin", "Berlin", "Europe/Berlin", true),
    abroad("London", "England", "Europe/London", false),
    us("Atlanta", "GA", "America/New_York", "+1 404 555 01", false),
    us("Portland", "OR", "America/Los_Angeles", "+1 503 555 01", false),
    us("San Diego", "CA", "America/Los_Angeles", "+1 619 555 01", false),
    us("Dallas", "TX", "America/Chicago", "+1 214 555 01", false),
    abroad("Toronto", "Ontario", "America/Toronto", false),
    abroad("Bengaluru", "Karnataka", "Asia/Kolkata", true),
    us("Minneapolis", "MN", "America/Chicago", "+1 612 555 01", false),
    us("Miami", "FL", "America/New_York", "+1 305 555 01", false),
    abroad("São Paulo", "SP", "America/Sao_Paulo", false),
    abroad("Lagos", "Lagos", "Africa/Lagos", false),
    us("Philadelphia", "PA", "America/New_York", "+1 215 555 01", false),
    us("Phoenix", "AZ", "America/Phoenix", "+1 602 555 01", false),
    abroad("München", "Bayern", "Europe/Berlin", false),
    abroad("Paris", "Île-de-France", "Europe/Paris", false),
    abroad("Kraków", "Małopolskie", "Europe/Warsaw", true),
    us("Nashville", "TN", "America/Chicago", "+1 615 555 01", false),
    us("Raleigh", "NC", "America/New_York", "+1 919 555 01", true),
    abroad("Tokyo", "東京都", "Asia/Tokyo", false),
    abroad("Sydney", "NSW", "Australia/Sydney", false),
    us("York", "PA", "America/New_York", "+1 717 555 01", false),
    abroad("Ciudad de México", "CDMX", "America/Mexico_City", false),
    abroad("Nairobi", "Nairobi", "Africa/Nairobi", false),
    us("Santa Fe", "NM", "America/Denver", "+1 505 555 01", false),
    abroad("Zürich", "Zürich", "Europe/Zurich", true),
    abroad("İstanbul", "İstanbul", "Europe/Istanbul", false),
    us("Honolulu", "HI", "Pacific/Honolulu", "+1 808 555 01", false),
    us("Anchorage", "AK", "America/Anchorage", "+1 907 555 01", false),
];

/// The first ones more often.
pub(super) const COMPANIES: &[&str] = &[
    "Northwind Labs",
    "Harbor & Pine",
    "Blue Mesa Software",
    "Cedar Grove Health",
    "Lumen Works",
    "Atlas Freight",
    "Riverbend Capital",
    "Copperleaf Energy",
    "Juniper Street Studio",
    "Old Mill Robotics",
    "Saltmarsh Foods",
    "Granite Peak Insurance",
    "Kestrel Aerospace",
    "Open Field Farms",
    "Tandem Mobility",
    "Maple & Stone",
    "Quillpoint Media",
    "Fjord Analytics",
    "Brightwater Clinic",
    "Ironbridge Steel",
    "Café Lumière",
    "Meridian Public Library",
    "Sandpiper Travel",
    "Halcyon Games",
    "Third Coast Legal",
    "Wren Biotech",
    "Solstice Solar",
    "Tall Oak Schools",
    "Paper Lantern Press",
    "Bühler & Söhne",
    "Vela Marine",
    "Prairie Dog Brewing",
    "Cobalt Security",
    "Elm City Council",
    "Driftwood Hotels",
    "Summit Row Partners",
    "Lotus Bridge Trading",
    "Nimbus Weather",
    "Pinecone Toys",
    "Aurora Textiles",
];

pub(super) const COMPANY_FIRST: &[&str] = &[
    "Amber", "Birch", "Canyon", "Delta", "Ember", "Falcon", "Golden", "Hazel", "Indigo", "Jade", "Keystone", "Laurel", "Marigold", "Noble", "Orchard",
    "Pacific", "Quarry", "Raven", "Silver", "Thistle", "Umber", "Violet", "Willow", "Yarrow", "Zephyr",
];
pub(super) const COMPANY_SECOND: &[&str] = &[
    "Anchor", "Bay", "Bridge", "Brook", "Cliff", "Creek", "Crown", "Field", "Forge", "Gate", "Glen", "Harbor", "Hill", "House", "Lake", "Meadow", "Point",
    "Ridge", "Rock", "Shore", "Spring", "Square", "Tower", "Valley", "Wood",
];
pub(super) const COMPANY_THIRD: &[&str] =
    &["Consulting", "Design", "Foundation", "Group", "Health", "Labs", "Logistics", "Media", "Partners", "Software", "Studio", "Systems"];

/// The first ones more often.
pub(super) const TECHNICAL_TITLES: &[&str] = &[
    "Software Engineer",
    "Senior Software Engineer",
    "Engineering Manager",
    "Data Scientist",
    "Product Manager",
    "Site Reliability Engineer",
    "UX Designer",
    "CTO",
    "QA Engineer",
    "Security Engineer",
    "Data Engineer",
    "Developer Advocate",
];

/// The first ones more often.
pub(super) const TITLES: &[&str] = &[
    "Project Manager",
    "Teacher",
    "Account Executive",
    "Marketing Manager",
    "Nurse",
    "Accountant",
    "Consultant",
    "Software Engineer",
    "Program Coordinator",
    "Attorney",
    "Founder",
    "Research Assistant",
    "Operations Manager",
    "Journalist",
    "Architect",
    "Event Planner",
    "Student",
    "Librarian",
    "CEO",
    "Photographer",
    "Physician",
    "Board Member",
    "Volunteer",
    "Chef",
    "Civil Engineer",
    "Chargé de mission",
    "Geschäftsführer",
    "Retired",
];

pub(super) const TOPICS: &[&str] = &[
    "Rust",
    "Open Data",
    "Community Garden",
    "Climate Action",
    "Founders",
    "Book Lovers",
    "Alumni",
    "Volunteers",
    "Women in Engineering",
    "Jazz",
    "Product Design",
    "Public Transit",
    "Local History",
    "Donors",
    "Cycling",
    "Machine Learning",
    "Neighbors",
    "Youth Chess",
    "Accessibility",
    "Ceramics",
    "Night Photography",
    "Newcomers",
];
pub(super) const FORMATS: &[&str] = &[
    "Meetup",
    "Breakfast",
    "Workshop",
    "Evening",
    "Summit",
    "Open House",
    "Panel",
    "Dinner",
    "Walk",
    "Fair",
    "Hack Day",
    "Reception",
    "Training",
    "Picnic",
    "Town Hall",
];
pub(super) const SEASONS: &[&str] = &["Winter", "Spring", "Summer", "Autumn"];
pub(super) const VENUES: &[&str] = &[
    "Old Mill Hall",
    "Riverside Library, Room 2",
    "The Glasshouse",
    "Union Hall",
    "Cedar Street Theater",
    "Rooftop at Pier 9",
    "City Museum, Auditorium",
    "Kulturhaus Süd",
    "Community Center",
    "The Print Shop",
    "Botanical Garden Pavilion",
    "Café Lumière",
    "Station Yard",
    "Student Union, Ballroom B",
    "Harbor Warehouse 4",
];
pub(super) const PROMISES: &[&str] = &[
    "Short talks, long conversations.",
    "Bring a friend; there is soup.",
    "We show what we built and what went wrong.",
    "For newcomers and old hands alike.",
    "Doors open half an hour before.",
    "The room is step-free, and there is a hearing loop.",
    "Children are welcome.",
    "Please tell us about allergies when you register.",
    "Hands-on: bring a laptop or share one.",
];
