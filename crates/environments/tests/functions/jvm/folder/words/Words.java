package words;

class Words {
    static final String FOLDER = "from a folder";
}
