public class Broken {
    = 2;
}
